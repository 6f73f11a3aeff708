import { AssertionError } from 'node:assert'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { memoryStore, type MemoryModel } from '../../src/read/memory-read-model.ts'
import { takeStep, withNew } from '../../src/read/control.ts'
import { defineProjection } from '../../src/read/projection.ts'
import { sqliteStore } from '../../src/platform/sqlite-read-model.ts'
import { redisStore } from '../../src/platform/redis-read-model.ts'
import { eventsOf, givenEvents } from '../../src/testing/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const { AccountOpened, MoneyDeposited, MoneyWithdrawn } = eventsOf(Account)

interface Entry {
  readonly stream: string
  readonly version: number
  readonly position: number
  readonly time: string
}

const journal = memoryStore(() => ({ entries: new Map<number, Entry>() }))
/** Keeps what it is told of each event. */
const Journal = defineProjection({
  name: 'journal',
  from: [Account],
  store: journal,
  on: {
    MoneyDeposited: ({ stream, version, position, time, data }, { entries }) => {
      if (data.amount === 13) throw new Error('unlucky')
      entries.set(entries.size, { stream, version, position, time: time.toISOString() })
    },
  },
})
const all = ({ entries }: MemoryModel<{ entries: Map<number, Entry> }>): readonly Entry[] => [...entries.values()]

const Totals = defineProjection({
  name: 'totals',
  from: 'all',
  store: sqliteStore({
    path: 'read-models',
    setup: (db) => {
      db.exec('CREATE TABLE IF NOT EXISTS totals (stream TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT')
      return {
        add: db.prepare('INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount'),
        list: db.prepare('SELECT stream, amount FROM totals ORDER BY stream'),
      }
    },
  }),
  on: {
    MoneyDeposited: ({ stream, data }, { add }) => add.run(stream, (data as { amount: number }).amount),
    MoneyWithdrawn: ({ stream, data }, { add }) => add.run(stream, -(data as { amount: number }).amount),
  },
})

/** What a test that fails prints. */
async function told(failing: () => unknown): Promise<string> {
  try {
    await failing()
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError)
    return (error as Error).message
  }
  throw new Error('it did not fail')
}

test('events make the read model that a query is asked of', async () => {
  const given = givenEvents(Totals, [
    ['account/anna', AccountOpened({ owner: 'Anna' }), MoneyDeposited({ amount: 5 })],
    ['account/ben', MoneyDeposited({ amount: 7 })],
    ['account/anna', MoneyWithdrawn({ amount: 2 })],
  ])
  const amounts = [
    { stream: 'account/anna', amount: 3 },
    { stream: 'account/ben', amount: 7 },
  ]
  await given.thenQuery(({ list }) => list.all(), amounts)
  await given.thenQuery(
    ({ list }) => list.all(),
    (rows) => expect(rows).toMatchObject(amounts),
  )
  await given.thenQuery(
    ({ list }) => list.all().length,
    (length) => length === 2,
  )
  await givenEvents(Totals, []).thenQuery(({ list }) => list.all(), [])
})

test('a row as node:sqlite types it is expected as it is, and what is no answer does not compile', async () => {
  const given = givenEvents(Totals, [['account/anna', MoneyDeposited({ amount: 5 })]])
  await given.thenQuery(({ list }) => list.get(), { stream: 'account/anna', amount: 5 })
  await given.thenQuery(
    ({ list }) => list.get(),
    (row) => row?.['amount'] === 5,
  )
  const check = (): Promise<void> =>
    given.thenQuery(
      ({ list }) => list.all().length,
      // @ts-expect-error it is a number
      'one',
    )
  expect(check).toBeTypeOf('function')
})

test('handlers are told of events as the log would tell them', async () => {
  await givenEvents(Journal, [
    ['account/anna', AccountOpened({ owner: 'Anna' }), MoneyDeposited({ amount: 5 })],
    ['account/ben', MoneyDeposited({ amount: 7 })],
    ['account/anna', MoneyDeposited({ amount: 1 })],
  ]).thenQuery(all, [
    { stream: 'account/anna', version: 2, position: 2, time: '2026-01-01T00:00:01.000Z' },
    { stream: 'account/ben', version: 1, position: 3, time: '2026-01-01T00:00:02.000Z' },
    { stream: 'account/anna', version: 3, position: 4, time: '2026-01-01T00:00:03.000Z' },
  ])
})

test('a live read model is not touched', async () => {
  const live = await journal.open('journal')
  const before = await live.control()
  await givenEvents(Journal, [['account/anna', MoneyDeposited({ amount: 5 })]]).thenQuery(
    all,
    (rows) => rows.length === 1,
  )
  expect(await live.control()).toMatchObject({ live: before.live, generations: before.generations })
  expect(await live.query(before.live, all)).toEqual([])
})

test('a test that is killed leaves nothing where a node looks, and what it leaves is dropped by a later one', async () => {
  const path = temporaryFolder()
  const kept = (name: string): string[] => fs.readdirSync(join(path, name)).filter((file) => file.endsWith('.db'))
  const store = sqliteStore({ path, setup: (db) => db })
  const source = new URL('../../src/', import.meta.url).href
  const killed = spawnSync(process.execPath, [
    '--input-type=module',
    '--eval',
    `import { defineProjection, sqliteStore } from '${source}index.ts'
     import { givenEvents } from '${source}testing/index.ts'
     const on = { Happened: () => process.kill(process.pid, 'SIGKILL') }
     const store = sqliteStore({ path: ${JSON.stringify(path)}, setup: (db) => db })
     const projection = defineProjection({ name: 'lines', from: 'all', store, on })
     await givenEvents(projection, [['a/1', { type: 'Happened' }]]).thenQuery(() => 1, 1)`,
  ])
  expect([killed.signal, String(killed.stderr)]).toEqual(['SIGKILL', ''])
  expect(fs.readdirSync(path)).toEqual(['given-lines'])
  const left = ['control.db', 'generation-1.db', 'generation-2.db']
  expect(kept('given-lines')).toEqual(left)
  const again = givenEvents(
    defineProjection({ name: 'lines', from: 'all', store, on: { Happened: () => undefined } }),
    [],
  )
  await again.thenQuery(() => 1, 1)
  expect(kept('given-lines'), 'it may be that of a test beside this one').toEqual(left)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_700_000 })
  onTestFinished(() => void vi.useRealTimers())
  await again.thenQuery(() => 1, 1)
  expect(kept('given-lines')).toEqual(left.slice(0, 2))
})

test('what a test has left that was killed before it said since when is dropped too, an hour after somebody saw it', async () => {
  const store = memoryStore(() => ({}))
  const given = givenEvents(
    defineProjection({ name: 'n'.repeat(64), from: 'all', store, on: { Happened: () => undefined } }),
    [],
  )
  const beside = await store.open(`given-${'n'.repeat(58)}`)
  await takeStep(beside, (control) => withNew(control, { state: 'trial' }))
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const hour = 3_600_000
  for (const [passed, left] of [
    [0, [1, 2]],
    [hour, [1, 2]],
    [1, [1]],
  ] as const) {
    vi.setSystemTime(Date.now() + passed)
    await given.thenQuery(() => 1, 1)
    expect((await beside.control()).generations.map(({ number }) => number)).toEqual(left)
  }
})

test('a test that fails says what was given and what differs', async () => {
  const given = givenEvents(Totals, [['account/anna', MoneyDeposited({ amount: 5 })]])
  expect(await told(() => given.thenQuery(({ list }) => list.all(), [{ stream: 'account/anna', amount: 6 }])))
    .toBe(`given totals
      account/anna  MoneyDeposited { amount: 5 }
then  - [ { stream: 'account/anna', amount: 6 } ]
      + [ { stream: 'account/anna', amount: 5 } ]

(- expected, + happened)`)
  expect(
    await told(() =>
      given.thenQuery(
        ({ list }) => list.all().length,
        (length) => length > 1,
      ),
    ),
  ).toContain('an answer for which (length) => length > 1')
})

test('a handler that fails is told with its event', async () => {
  const given = givenEvents(Journal, [['account/anna', MoneyDeposited({ amount: 1 }), MoneyDeposited({ amount: 13 })]])
  expect(await told(() => given.thenQuery(all, []))).toContain(
    `the handler of 'MoneyDeposited' has failed, at version 2 of account/anna: unlucky`,
  )
})

test.each<[string, string, string, unknown]>([
  ['an event that the aggregate does not have', 'account/anna', 'MoneyBurnt', {}],
  ['the stream of an aggregate that the projection does not take', 'acount/anna', 'MoneyDeposited', { amount: 5 }],
  ['a stream without an id', 'account', 'MoneyDeposited', { amount: 5 }],
  ['data that cannot stand in the log', 'account/anna', 'MoneyDeposited', { amount: () => 5 }],
])('%s is refused', async (_what, stream, type, data) => {
  expect(await told(() => givenEvents(Journal, [[stream, { type, data }]]))).toMatch(/^given journal\n/)
})

test('a handler that keeps something outside of the model is found out', async () => {
  let sum = 0
  const Forgetful = defineProjection({
    name: 'forgetful',
    from: [Account],
    store: memoryStore(() => ({ sums: new Map<string, number>() })),
    on: { MoneyDeposited: ({ data }, { sums }) => void sums.set('sum', (sum += data.amount)) },
  })
  const given = givenEvents(Forgetful, [['account/anna', MoneyDeposited({ amount: 5 })]])
  expect(await told(() => given.thenQuery(({ sums }) => sums.get('sum'), 5))).toContain(
    'the answer depends on something outside of the model',
  )
})

const Counter = defineAggregate({
  type: 'counter',
  initialState: () => 0,
  events: { Counted: (count) => count + 1 },
  commands: { count: (_count, _nothing: undefined, { emit }) => emit.Counted() },
})

test.skipIf(!hasRedis)(
  'a handler that reads in Redis what its own batch wrote is found out (needs redis-server)',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const counting = (name: string, isRight: boolean) =>
      defineProjection({
        name,
        from: [Counter],
        store: redisStore({ redis: redis.url }),
        on: {
          Counted: async (_event, { key, read, write }) => {
            if (isRight) write('incr', key('count'))
            else write('set', key('count'), Number(await read.get(key('count'))) + 1)
          },
        },
      })
    const { Counted } = eventsOf(Counter)
    const history = [['counter/a', Counted(), Counted(), Counted()]] as const
    await givenEvents(counting('right', true), history).thenQuery(({ key, read }) => read.get(key('count')), '3')
    expect(
      await told(() =>
        givenEvents(counting('wrong', false), history).thenQuery(({ key, read }) => read.get(key('count')), '3'),
      ),
    ).toContain(`In one batch:\n'1'\nand one by one:\n'3'`)
  },
)
