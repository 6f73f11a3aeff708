import { expect, onTestFinished, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import {
  defineCluster,
  defineInbox,
  deriveId,
  startNode,
  type InboxDefinition,
  type InboxMessage,
} from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { systemClock, systemRandom } from '../../src/platform/system.ts'
import type { Effects, SentCommand, SentOutcome } from '../../src/react/effects.ts'
import type { InboxOutline } from '../../src/react/inbox-record.ts'
import type { InboxPage, InboxPlace } from '../../src/react/inbox-source.ts'
import { RunningInbox } from '../../src/react/running-inbox.ts'
import { Account } from '../account.ts'
import { startInlineNode } from '../node/inline-node.ts'
import { temporaryFolder } from '../temporary.ts'

type Definition = InboxDefinition<[typeof Account]>
type Ask = (command: SentCommand, send: (command: SentCommand) => Promise<SentOutcome>) => Promise<SentOutcome>

interface World {
  /** Which others append to. */
  readonly row?: InboxMessage[]
  readonly definition?: Partial<Definition>
  /** Sends what the inbox sends. */
  readonly ask?: Ask
  readonly read?: (after: InboxPlace) => InboxPage | undefined
}

/** An inbox of a row in memory, at a real node, with all that it sends and asks. */
async function open({ row = [], definition = {}, ask = (command, send) => send(command), read }: World) {
  const node = await startInlineNode()
  const store = node.store as unknown as RunningNodeStore
  const effects = new NodeEffects({ host: node as unknown as RefHost, store, aggregates: [Account] }).from(0, 0)
  const said: string[] = []
  const warnings: string[] = []
  const inbox = defineInbox({
    name: 'payments',
    startAt: 'beginning',
    source: {
      name: 'row',
      open: () => ({
        place: async () => ({ id: '0', count: 0 }),
        read: async (after) => {
          const page = read?.(after)
          if (page !== undefined) return page
          const messages = row.slice(after.count, after.count + 50)
          if (messages.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
          const count = after.count + messages.length
          return { messages, place: { id: String(count), count }, lost: 0 }
        },
        close: async () => undefined,
      }),
    },
    to: [Account],
    map: ({ fields: { amount } }) => {
      const [command, payload] = [Number(amount) < 0 ? 'withdraw' : 'deposit', { amount: Math.abs(Number(amount)) }]
      return { aggregate: Account, id: 'anna', command, payload } as const
    },
    ...definition,
  } as Definition)
  const running = new RunningInbox({
    inbox,
    effects: {
      ask: async (command) => {
        said.push(command.name)
        return await ask(command, (sent) => effects.ask(sent))
      },
      query: async (question) => {
        said.push(question.name)
        return await effects.query(question)
      },
      append: (...args) => effects.append(...args),
      load: (...args) => effects.load(...args),
      inShard: (...args) => effects.inShard(...args),
      knows: (type) => effects.knows(type),
      commandBytesMax: effects.commandBytesMax,
    } satisfies Effects,
    ids: new IdSource(systemClock, systemRandom),
    clock: systemClock,
    onWarning: (message) => void warnings.push(message),
  })
  onTestFinished(() => running.close())
  const outline = async (): Promise<InboxOutline> =>
    (await effects.query({ stream: '$inbox/payments', name: 'outline' })) as InboxOutline
  const operate = async (name: string, id: string): Promise<void> => {
    const ids = { commandId: deriveId(name, id), correlationId: '', causationId: '', after: 0 }
    await effects.ask({ stream: '$inbox/payments', name, payload: { id, reason: '' }, ...ids })
  }
  return { account: node.ref(Account, 'anna'), running, said, warnings, outline, operate }
}

const messages = (...amounts: readonly number[]): InboxMessage[] =>
  amounts.map((amount, i) => ({ id: String(i + 1), fields: { amount: String(amount) } }))

test('what waits behind a parked message is free as soon as that is, all at once, up to the next that waits for somebody', async () => {
  const row = messages(-100, ...Array.from({ length: 20 }, () => 1), -500, 7)
  const { account, said, outline, operate } = await open({ row })
  await expect.poll(async () => (await outline()).parked.length).toBe(row.length)
  await account.ask('deposit', { amount: 100 })
  said.length = 0
  await operate('retry', '1')
  await expect
    .poll(async () => (await outline()).parked.map(({ id, reason }) => [id, reason]))
    .toEqual([
      ['22', 'rejected: insufficient-funds'],
      ['23', ''],
    ])
  expect(await account.query('balance')).toBe(20)
  const [first, last] = [said.indexOf('unpark'), said.lastIndexOf('unpark')]
  expect(said.filter((name) => name === 'unpark')).toHaveLength(21)
  // It was one turn, which begins with a look at the record.
  expect(said.slice(first, last)).not.toContain('outline')
})

test('what is skipped while what is before it is tried again, is passed', async () => {
  const row = messages(-100, 1, 2)
  let skip: (() => Promise<void>) | undefined
  const { account, outline, operate } = await open({
    row,
    ask: async (command, send) => {
      const outcome = await send(command)
      if (command.name !== 'unpark') return outcome
      await skip?.()
      skip = undefined
      return outcome
    },
  })
  await expect.poll(async () => (await outline()).parked.length).toBe(3)
  await account.ask('deposit', { amount: 100 })
  skip = () => operate('skip', '2')
  await operate('retry', '1')
  await expect.poll(async () => (await outline()).parked.length).toBe(0)
  expect(await account.query('balance')).toBe(2)
})

test('a rejection that is passed is counted once, whatever becomes of the answer to where it was recorded', async () => {
  const row = messages(-1, -2, -3)
  let lost = 1
  const { outline } = await open({
    row,
    definition: { onRejection: 'pass' },
    ask: async (command, send) => {
      const outcome = await send(command)
      if (command.name !== 'advance' || (lost -= 1) < 0) return outcome
      throw new PenholdError('Timeout', 'its answer is lost', { outcome: 'unknown', retryable: true })
    },
  })
  await expect.poll(async () => (await outline()).place?.count).toBe(3)
  row.push(...messages(1, 1, 1, 5).slice(3))
  await expect.poll(async () => (await outline()).place?.count).toBe(4)
  expect((await outline()).rejected).toBe(3)
})

test('a message that was sent before as something else took effect: it is done, and that is told once', async () => {
  const row = messages(1, 2, 3)
  let begin = (): void => undefined
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const { account, outline, warnings } = await open({
    row,
    ask: async (command, send) => {
      if (command.name === 'begin') await begun
      return await send(command)
    },
  })
  // As its mapper said it before, and the place was not recorded.
  for (const id of ['1', '2']) {
    await account.ask('deposit', { amount: 100 }, { commandId: deriveId('inbox', 'payments', 'row', id) })
  }
  begin()
  await expect.poll(async () => (await outline()).place?.count).toBe(3)
  expect(await account.query('balance')).toBe(203)
  expect((await outline()).parked).toEqual([])
  expect(warnings).toEqual([expect.stringContaining('message 1 took effect before as something else')])
})

test('a message whose command has the id of another one is parked, with what comes behind it', async () => {
  const row = messages(1, 2, 3)
  let begin = (): void => undefined
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const { account, outline } = await open({
    row,
    definition: {
      map: ({ id, fields: { amount } }) => ({
        aggregate: Account,
        id: 'anna',
        command: 'deposit',
        payload: { amount: Number(amount) },
        // The sender has given two payments one number.
        ...(id !== '3' && { commandId: deriveId('payment', 'one') }),
      }),
    },
    ask: async (command, send) => {
      if (command.name === 'begin') await begun
      return await send(command)
    },
  })
  begin()
  await expect.poll(async () => (await outline()).place?.count).toBe(3)
  expect(await account.query('balance')).toBe(1)
  const { parked } = await outline()
  expect(parked.map(({ id }) => id)).toEqual(['2', '3'])
  expect(parked[0]!.reason).toContain('was used')
})

test('what was rejected as something else, under the id of its message, has not taken effect', async () => {
  const row = messages(1)
  let begin = (): void => undefined
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const { account, outline, warnings } = await open({
    row,
    ask: async (command, send) => {
      if (command.name === 'begin') await begun
      return await send(command)
    },
  })
  // Its actor has to live for it.
  await account.ask('deposit', { amount: 1 })
  const commandId = deriveId('inbox', 'payments', 'row', '1')
  await expect(account.ask('withdraw', { amount: 50 }, { commandId })).rejects.toMatchObject({
    code: 'insufficient-funds',
  })
  begin()
  await expect.poll(async () => (await outline()).place?.count).toBe(1)
  expect(warnings.join()).not.toContain('took effect before')
  const { parked } = await outline()
  expect((await account.query('balance')) - 1 + parked.length).toBe(1)
})

test('what may be missing, and is not known, is told once, and where it goes on from is recorded', async () => {
  const row = messages(1, 2)
  let isAnew = true
  const { account, outline, warnings } = await open({
    row,
    read: (after) => {
      if (after.count !== 2 || !isAnew) return undefined
      isAnew = false
      return { messages: [], lost: 0, problem: 'the row was deleted', place: { id: after.id, count: 1 } }
    },
  })
  await expect.poll(async () => (await outline()).place?.count).toBe(2)
  await expect.poll(() => warnings).toEqual(['inbox payments: the row was deleted'])
  // The last comes once more, and is known.
  row.push(...messages(0, 0, 5).slice(2))
  await expect.poll(async () => (await outline()).place?.count).toBe(3)
  expect(await account.query('balance')).toBe(8)
})

test('what is missing, and what may be, is told once, however often the page is tried', async () => {
  const page = { messages: messages(1), lost: 3, problem: 'the row was deleted', place: { id: '1', count: 1 } }
  let away = 3
  const { account, outline, warnings } = await open({
    read: (after) => (after.count === 0 ? page : undefined),
    ask: async (command, send) => {
      if (command.stream !== 'account/anna' || (away -= 1) < 0) return await send(command)
      throw new PenholdError('ShardUnavailable', 'it is away', { outcome: 'none', retryable: true })
    },
  })
  await expect.poll(async () => (await outline()).place?.count, { timeout: 30_000 }).toBe(1)
  expect(away).toBeLessThan(0)
  expect(await account.query('balance')).toBe(1)
  expect(warnings).toEqual([
    'inbox payments: the row was deleted',
    expect.stringContaining('3 messages of row were removed'),
  ])
})

test('a message that the record refuses is named', async () => {
  const { running, outline } = await open({ row: [{ id: '7\ud800', fields: { amount: '-1' } }] })
  await expect.poll(() => running.trouble).toContain('goes no further than message 7')
  expect(running.trouble).toContain('it cannot be parked')
  expect((await outline()).parked).toEqual([])
})

test('a source that cannot be let go of is told of, and ends nothing', async () => {
  const warnings: string[] = []
  const source = {
    name: 'row',
    open: () => ({
      place: async () => ({ id: '0', count: 0 }),
      read: () => new Promise<InboxPage>(() => undefined),
      close: async () => {
        throw new Error('its connection hangs')
      },
    }),
  }
  const inbox = defineInbox({ name: 'payments', startAt: 'beginning', source, to: [Account], map: () => undefined })
  const config = defineCluster({
    name: 'taking',
    aggregates: [Account],
    inboxes: [inbox],
    dataDir: temporaryFolder(),
    shards: 4,
    workers: 'inline',
    onWarning: (message) => void warnings.push(message),
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  await expect.poll(async () => (await node.inbox(inbox).status()).place).toBe('0')
  await node.close()
  expect(warnings).toEqual(['inbox payments could not be let go of: Error: its connection hangs'])
})
