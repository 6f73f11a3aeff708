import { expect, onTestFinished, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import { defineInbox, deriveId, type InboxMessage } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { systemClock, systemRandom } from '../../src/platform/system.ts'
import type { Effects } from '../../src/react/effects.ts'
import { RunningInbox } from '../../src/react/running-inbox.ts'
import { Account } from '../account.ts'
import { startInlineNode } from '../node/inline-node.ts'
import { temporaryFolder } from '../temporary.ts'

/** What a message says beside what is asked for. */
const MORE = 50_000
const row: readonly InboxMessage[] = ['first', 'nobody', 'away'].map((account, i) => {
  return { id: `${i + 1}`, fields: { account, more: 'x'.repeat(MORE) } }
})

const inbox = defineInbox({
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
    if (account === 'nobody') throw new Error('it is for nobody')
    return { aggregate: Account, id: account!, command: 'deposit', payload: { amount: 1 } }
  },
})

test('what was sent before something was parked, and the place not recorded, takes effect once', async () => {
  const dataDir = temporaryFolder()
  const answers: [name: string, bytes: number][] = []
  const open = async (isAway: boolean) => {
    const node = await startInlineNode({ dataDir, limits: { dedupeWindow: 2 } })
    const store = node.store as unknown as RunningNodeStore
    const effects = new NodeEffects({ host: node as unknown as RefHost, store, aggregates: [Account] }).from(0, 0)
    const ask: Effects['ask'] = async (command) => {
      if (!isAway || command.stream !== 'account/away') return await effects.ask(command)
      throw new PenholdError('ShardUnavailable', 'it is away', { outcome: 'none', retryable: true })
    }
    const running = new RunningInbox({
      inbox,
      effects: {
        ask,
        query: async (question) => {
          const answer = await effects.query(question)
          answers.push([question.name, JSON.stringify(answer).length])
          return answer
        },
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
    const balance = (id: string): Promise<number> => node.ref(Account, id).query('balance')
    const parked = async (): Promise<number> => {
      const state = await effects.query({ stream: '$inbox/payments', name: 'outline' })
      return (state as { readonly parked: readonly unknown[] }).parked.length
    }
    return { node, running, effects, balance, parked }
  }

  const first = await open(true)
  await expect.poll(() => first.balance('first')).toBe(1)
  await expect.poll(first.parked).toBe(1)
  await first.running.close()
  for (let n = 0; n < 10; n += 1) await first.node.ref(Account, 'first').ask('deposit', { amount: 1 })
  await first.node.close()

  const second = await open(false)
  await expect.poll(() => second.balance('away')).toBe(1)
  expect(await second.balance('first')).toBe(11)
  // What is parked is not read again at each turn.
  await expect.poll(() => answers.length).toBeGreaterThan(4)
  expect(answers.filter(([, bytes]) => bytes >= MORE)).toEqual([])
  const ids = { commandId: deriveId('operator'), correlationId: '', causationId: '' }
  await second.effects.ask({ stream: '$inbox/payments', name: 'retry', payload: { id: '2' }, after: 0, ...ids })
  await expect.poll(() => answers.filter(([, bytes]) => bytes >= MORE)).toHaveLength(1)
  expect(answers.filter(([name]) => name === 'message')).toHaveLength(1)
})
