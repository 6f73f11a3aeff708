/** A node that runs an inbox over a real Redis. */
import { expect, onTestFinished } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineInbox,
  redisStreamSource,
  startNode,
  type Inbox,
  type InboxDefinition,
  type Node,
  type Overrides,
} from '../../src/index.ts'
import type { RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

export const Account = defineAggregate({
  type: 'account',
  initialState: (): readonly number[] => [],
  events: { Deposited: (amounts, { amount }: { amount: number }) => [...amounts, amount] },
  commands: {
    deposit: (_amounts, { amount }: { amount: number }, { emit, reject }) =>
      amount > 1_000 ? reject('TooMuch') : emit.Deposited({ amount }),
    break: () => {
      throw new Error('it never works')
    },
  },
  queries: { amounts: (amounts) => amounts },
})

/** It takes no more than somebody lets it. */
export const Purse = defineAggregate({
  type: 'purse',
  initialState: () => ({ amount: 0, most: 100 }),
  events: {
    Put: ({ amount, most }, event: { amount: number }) => ({ amount: amount + event.amount, most }),
    Widened: ({ amount }, { to }: { to: number }) => ({ amount, most: to }),
  },
  commands: {
    put: ({ most }, { amount }: { amount: number }, { emit, reject }) =>
      amount > most ? reject('TooMuch') : emit.Put({ amount }),
    widen: (_state, { to }: { to: number }, { emit }) => emit.Widened({ to }),
  },
  queries: { amount: ({ amount }) => amount },
})

/** Once it is so: a machine may be busy. */
export const eventually = <Value>(look: () => Value) => expect.poll(look, { timeout: 30_000 })

/** What a test does with the inbox `payments`, which reads the stream `paid`. */
export function inboxesOver(redis: () => RedisProcess) {
  const define = (more: Partial<InboxDefinition<[typeof Account]>> = {}): Inbox =>
    defineInbox({
      name: 'payments',
      startAt: 'beginning',
      source: redisStreamSource({ redis: redis().url, stream: 'paid' }),
      to: [Account],
      map: ({ fields: { account, amount } }) => {
        if (account === undefined) throw new Error('it has no account')
        if (amount === undefined) return undefined
        return { aggregate: Account, id: account, command: 'deposit', payload: { amount: Number(amount) } }
      },
      ...more,
    })

  async function start(inbox: Inbox, folder: string = temporaryFolder(), overrides: Overrides = {}) {
    const warnings: string[] = []
    const config = defineCluster({
      name: 'taking',
      aggregates: [Account, Purse],
      inboxes: [inbox],
      dataDir: folder,
      shards: 4,
      workers: 'inline',
      onWarning: (message) => warnings.push(message),
    })
    const node = await startNode(config, overrides)
    onTestFinished(() => node.close())
    return { node, warnings, inbox: node.inbox(inbox) }
  }

  const add = async (account: string | undefined, amount?: number): Promise<string> => {
    const fields = [
      ...(account === undefined ? [] : ['account', account]),
      ...(amount === undefined ? [] : ['amount', amount]),
    ]
    return (await redis().admin.xadd('paid', '*', 'kind', 'payment', ...fields))!
  }
  const amounts = (node: Node, id = 'anna') => node.ref(Account, id).query('amounts')

  return { define, start, add, amounts }
}
