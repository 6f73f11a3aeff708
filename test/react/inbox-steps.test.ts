import { expect, onTestFinished, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { defineCluster, defineInbox, deriveId, startNode, type InboxMessage } from '../../src/index.ts'
import type { InboxPage } from '../../src/react/inbox-source.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { openInbox, type InboxBenchOptions } from './inbox-bench.ts'

async function open(options: InboxBenchOptions) {
  const bench = await openInbox(options)
  return { ...bench, account: bench.node.ref(Account, 'anna') }
}

/** One that begins only when it is told to. */
async function openLater(options: Omit<InboxBenchOptions, 'ask'>) {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const bench = await open({
    ...options,
    ask: async (command, send) => {
      if (command.name === 'begin') await begun
      return await send(command)
    },
  })
  return { ...bench, begin }
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
  const { account, outline, warnings, begin } = await openLater({ row: messages(1, 2, 3) })
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
  const { account, outline } = await open({
    row: messages(1, 2, 3),
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
  })
  await expect.poll(async () => (await outline()).place?.count).toBe(3)
  expect(await account.query('balance')).toBe(1)
  const { parked } = await outline()
  expect(parked.map(({ id }) => id)).toEqual(['2', '3'])
  expect(parked[0]!.reason).toContain('was used')
})

test('what was rejected as something else, under the id of its message, has not taken effect', async () => {
  const { account, outline, warnings, begin } = await openLater({ row: messages(1) })
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
