import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import { defineInbox, type InboxMessage } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { systemClock, systemRandom } from '../../src/platform/system.ts'
import type { Effects } from '../../src/react/effects.ts'
import type { InboxOutline } from '../../src/react/inbox-record.ts'
import { RunningInbox } from '../../src/react/running-inbox.ts'
import { Account } from '../account.ts'
import { startInlineNode } from '../node/inline-node.ts'
import { temporaryFolder } from '../temporary.ts'

function inboxOf(row: readonly InboxMessage[], map: (account: string) => void = () => undefined) {
  return defineInbox({
    name: 'payments',
    startAt: 'beginning',
    source: {
      name: 'row',
      open: () => ({
        place: async () => ({ id: '0', count: 0 }),
        read: async ({ count }) => {
          const messages = row.slice(count)
          if (messages.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
          return { messages, place: { id: `${row.length}`, count: row.length }, lost: 0 }
        },
        close: async () => undefined,
      }),
    },
    to: [Account],
    map: ({ fields: { account } }) => {
      map(account!)
      return { aggregate: Account, id: account!, command: 'deposit', payload: { amount: 1 } }
    },
  })
}

async function run(
  dataDir: string,
  inbox: ReturnType<typeof inboxOf>,
  isUnheard: (stream: string) => boolean = () => false,
) {
  const node = await startInlineNode({ dataDir, limits: { dedupeWindow: 2 } })
  const store = node.store as unknown as RunningNodeStore
  const effects = new NodeEffects({ host: node as unknown as RefHost, store, aggregates: [Account] }).from(0, 0)
  const ask: Effects['ask'] = async (command) => {
    const outcome = await effects.ask(command)
    if (!isUnheard(command.stream)) return outcome
    throw new PenholdError('Timeout', 'no reply', { outcome: 'unknown', retryable: true })
  }
  const running = new RunningInbox({
    inbox,
    effects: {
      ask,
      query: (question) => effects.query(question),
      find: (command) => effects.find(command),
      append: (...args) => effects.append(...args),
      load: (...args) => effects.load(...args),
      inShard: (...args) => effects.inShard(...args),
      commandBytesMax: 1_000_000,
      knows: (type) => effects.knows(type),
    },
    ids: new IdSource(systemClock, systemRandom),
    clock: systemClock,
    onWarning: () => undefined,
  })
  onTestFinished(() => running.close())
  const operate = async (name: string, payload: object): Promise<void> => {
    const cause = { commandId: randomUUID(), correlationId: '', causationId: '', after: 0 }
    await effects.ask({ stream: '$inbox/payments', name, payload, ...cause })
  }
  return {
    node,
    running,
    balance: (id: string): Promise<number> => node.ref(Account, id).query('balance'),
    outline: async () => (await effects.query({ stream: '$inbox/payments', name: 'outline' })) as InboxOutline,
    retry: (id: string) => operate('retry', { id }),
    skip: (id: string) => operate('skip', { id, reason: 'by hand' }),
    close: async () => {
      await running.close()
      await node.close()
    },
  }
}

const message = (n: number, account: string): InboxMessage => ({ id: `${n}`, fields: { account } })

test('what took effect, and could not be mapped when it was sent again, has no second effect once it is retried', async () => {
  const dataDir = temporaryFolder()
  const row = [message(1, 'anna')]
  const first = await run(dataDir, inboxOf(row), (stream) => stream === 'account/anna')
  await expect.poll(() => first.balance('anna')).toBe(1)
  await first.close()

  // Deployed with a mapper that has a mistake.
  const throws = (): never => {
    throw new Error('it cannot be mapped')
  }
  const second = await run(dataDir, inboxOf(row, throws))
  await expect.poll(async () => (await second.outline()).place?.id).toBe('1')
  expect((await second.outline()).parked).toHaveLength(1)
  for (let n = 0; n < 10; n += 1) await second.node.ref(Account, 'anna').ask('deposit', { amount: 1 })
  await second.close()

  const third = await run(dataDir, inboxOf(row))
  await third.retry('1')
  await expect.poll(async () => (await third.outline()).parked.length).toBe(0)
  expect(await third.balance('anna')).toBe(11)
})

test('no more than a hundred messages are parked, however many are under way', async () => {
  const row = Array.from({ length: 300 }, (_, n) => message(n + 1, `a${n}`))
  const throws = (): never => {
    throw new Error('it cannot be mapped')
  }
  const { outline, running } = await run(temporaryFolder(), inboxOf(row, throws))
  await expect.poll(() => running.trouble, { timeout: 60_000 }).toContain('that is the limit')
  expect((await outline()).parked.length).toBe(100)
})

test('what was skipped stays skipped, though its page is read again', async () => {
  const dataDir = temporaryFolder()
  const row = [message(1, 'anna'), message(2, 'away')]
  const throws = (account: string): void => {
    if (account === 'anna') throw new Error('it cannot be mapped')
  }
  const first = await run(dataDir, inboxOf(row, throws), (stream) => stream === 'account/away')
  await expect.poll(async () => (await first.outline()).parked.length).toBe(1)
  await first.skip('1')
  expect((await first.outline()).parked).toEqual([])
  await first.close()

  const second = await run(dataDir, inboxOf(row))
  await expect.poll(async () => (await second.outline()).place?.id).toBe('2')
  expect(await second.balance('away')).toBe(1)
  expect(await second.balance('anna')).toBe(0)
})
