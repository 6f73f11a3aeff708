import { expect, test } from 'vitest'
import {
  defineCluster,
  defineInbox,
  defineOutbox,
  defineProcess,
  defineProjection,
  defineReactor,
  defineSchedule,
  memoryStore,
  redisStreamSource,
} from '../../src/index.ts'
import { Account } from '../account.ts'

const from = [Account]
const named = { name: 'one', from, startAt: 'now' } as const
/** One of each, by the list where it belongs. */
const definitions = {
  aggregates: Account,
  projections: defineProjection({
    name: 'one',
    from,
    on: { MoneyDeposited: () => undefined },
    store: memoryStore(() => ({})),
  }),
  reactors: defineReactor({ ...named, on: { MoneyDeposited: () => undefined } }),
  processes: defineProcess({
    type: 'one',
    from,
    startAt: 'now',
    correlate: { MoneyDeposited: () => 'key' },
    initialState: () => 0,
    on: { MoneyDeposited: () => undefined },
  }),
  outboxes: defineOutbox({ ...named, map: { MoneyDeposited: () => undefined }, publisher: async () => undefined }),
  inboxes: defineInbox({
    name: 'one',
    startAt: 'now',
    to: [Account],
    source: redisStreamSource({ redis: 'redis://localhost', stream: 'x' }),
    map: () => undefined,
  }),
  schedules: defineSchedule({
    name: 'one',
    cron: '@daily',
    missed: 'skip',
    aggregate: Account,
    id: 'anna',
    command: 'deposit',
    payload: { amount: 1 },
  }),
}
const lists = Object.keys(definitions) as (keyof typeof definitions)[]
const pairs = lists.flatMap((list) => lists.filter((other) => other !== list).map((other) => [other, list] as const))

test.for(pairs)('what belongs under %s is told so where it stands under %s', ([other, list]) => {
  const given = { name: 'bank', dataDir: 'x', aggregates: [Account], [list]: [definitions[other]] }
  const define = (): unknown => defineCluster(given)
  const name = other === 'aggregates' ? 'account' : 'one'
  expect(define).toThrow(new RegExp(`${list}\\[0\\] is the \\w+ '${name}', which belongs under ${other}`))
  // And nothing of its insides.
  expect(define).not.toThrow(/\{|function|=>/)
})
