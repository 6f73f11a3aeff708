import { expect, onTestFinished, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { degradedOf, toJson, WAITING_MS, type Examination } from '../../src/node/health.ts'
import { IdSource } from '../../src/log/identity.ts'
import type { Handling } from '../../src/react/consumer.ts'
import type { ShardEffects } from '../../src/react/effects.ts'
import { NonRetryableError } from '../../src/react/non-retryable-error.ts'
import { TOLD_MAX, TOLD_WITHIN_MS } from '../../src/react/parked-warnings.ts'
import { RunningConsumer } from '../../src/react/running-consumer.ts'
import { NO_TIMERS, Timers } from '../../src/react/timers.ts'
import { listed, TOLD_AFTER_MS, TOLD_AGAIN_MS, Waiting } from '../../src/react/waiting.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SHARDS } from '../read/event-row.ts'
import { LaneBench } from './lane-bench.ts'

const away = new PenholdError('ShardUnavailable', 'nobody serves it', { outcome: 'none', retryable: true })

function found(more: Partial<Examination>): Examination {
  const [workers, lost, projections, reactors, inboxes] = [[], [], [], [], []]
  return {
    phase: 'serving',
    workers,
    ownership: undefined,
    lost,
    projections,
    reactors,
    inboxes,
    wheels: NO_TIMERS,
    ...more,
  }
}

/** A consumer that runs in all shards, and is looked after four times a second, as at a node. */
function run(
  bench: LaneBench,
  does: Handling,
): { readonly running: RunningConsumer; readonly look: (ms: number) => Promise<void> } {
  const running = new RunningConsumer({
    consumer: {
      kind: 'outbox',
      name: 'deposits',
      isWanted: ({ type }) => type === 'Done',
      startAt: 'beginning',
      onFailure: 'park',
      retries: 1,
      handlerTimeoutMs: 10_000,
      concurrency: 4,
      does,
    },
    feeds: bench.row.feeds('shard'),
    effects: Object.assign(bench.effects, { from: () => bench.effects }),
    ids: new IdSource(bench.clock, new SeededRandom(1)),
    clock: bench.clock,
    windows: bench.windows,
    onWarning: (message) => bench.warnings.push(message),
  })
  onTestFinished(() => bench.during(running.close(0)))
  const shards = new Map(Array.from({ length: SHARDS }, (_, shard) => [shard, 1]))
  const look = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 250) {
      running.run(shards)
      await bench.pass(250)
    }
  }
  return { running, look }
}

const handlings: readonly [what: string, (isAway: () => boolean) => Handling][] = [
  [
    'publishes many at once, and whoever takes them is away,',
    (isAway) => ({
      most: 10,
      many: async () => {
        if (isAway()) throw away
      },
    }),
  ],
  [
    'handles each alone, and what it asks does not answer,',
    (isAway) => ({
      one: async (event, { effects, idempotencyKey: commandId }) => {
        if (!isAway()) return
        const ids = { commandId, correlationId: '', causationId: event.id }
        await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: event.position })
      },
    }),
  ],
]

test.for(handlings)(
  'a consumer that %s tells of it in one line, seldom, and once when it is over',
  async ([, does]) => {
    const bench = new LaneBench()
    let isAway = true
    bench.effects.onSent = async () => {
      throw away
    }
    const { running, look } = run(
      bench,
      does(() => isAway),
    )
    bench.add('a/0', 'a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'a/6')
    await look(TOLD_AFTER_MS - 1_000)
    expect(bench.warnings).toEqual([])
    await look(2_000)
    expect(bench.warnings).toEqual([
      expect.stringMatching(
        /^outbox deposits waits in shards [012], [012], [012] since 5 s, and tries again: nobody serves it$/,
      ),
    ])
    await look(WAITING_MS)
    expect(bench.warnings).toHaveLength(1)
    const { waiting } = running.condition
    expect(new Set(waiting!.shards)).toEqual(new Set([0, 1, 2]))
    expect(waiting!.ms).toBeGreaterThanOrEqual(WAITING_MS)
    const degraded = degradedOf(found({ reactors: [running.condition] }))
    expect(degraded).toEqual([
      expect.stringMatching(/^outbox deposits waits in shards [012], [012], [012] since \d+ ms, and tries again/),
    ])
    // Its text may be anything, and probes are anybody's.
    expect(degraded.join()).not.toContain('nobody serves it')
    isAway = false
    await look(15_000)
    expect(bench.warnings.slice(1)).toEqual([
      expect.stringMatching(/^outbox deposits waits no more here, after \d+ s$/),
    ])
    expect(running.condition).toMatchObject({ waiting: undefined })
    expect(degradedOf(found({ reactors: [running.condition] }))).toEqual([])
  },
)

test('a lane that cannot read is told of in the same way, and not by each shard', async () => {
  const bench = new LaneBench()
  bench.row.failures = 60
  const { look } = run(bench, { one: () => undefined })
  await look(30_000)
  expect(bench.warnings.filter((message) => message.includes('waits in'))).toEqual([
    expect.stringMatching(/^outbox deposits waits in shards [012], [012], [012] since 5 s/),
  ])
  expect(bench.warnings.filter((message) => !message.startsWith('outbox deposits waits'))).toEqual([])
})

test('what waits is told again after a while, and what is over soon is not', () => {
  const clock = new SimulatedClock()
  const warnings: string[] = []
  const waiting = new Waiting('reactor mails', { clock, onWarning: (message) => void warnings.push(message) })
  const look = (ms: number, ...shards: readonly number[]): void => {
    for (let passed = 0; passed < ms; passed += 250) {
      waiting.look(new Map(shards.map((shard) => [shard, `shard ${shard} is away`])))
      clock.advance(250)
    }
  }
  for (let i = 0; i < 10; i += 1) {
    look(TOLD_AFTER_MS - 250, 1)
    look(250)
  }
  expect(warnings).toEqual([])
  look(TOLD_AGAIN_MS, 1, 2)
  expect(waiting.now).toMatchObject({ shards: [1, 2], reason: 'shard 1 is away' })
  // The first is over, and the other has waited all along.
  look(10_000, 2, 3)
  expect(waiting.now).toMatchObject({ shards: [2, 3], ms: TOLD_AGAIN_MS + 10_000, reason: 'shard 2 is away' })
  look(250)
  look(1_000)
  expect(warnings).toEqual([
    'reactor mails waits in shards 1, 2 since 5 s, and tries again: shard 1 is away',
    'reactor mails waits in shards 2, 3 since 305 s, and tries again: shard 2 is away',
    'reactor mails waits no more here, after 310 s',
  ])
})

test('whoever throws when told ends nothing, and many shards are a short line', () => {
  const clock = new SimulatedClock()
  const onWarning = (): never => {
    throw new Error('no')
  }
  const waiting = new Waiting('reactor mails', { clock, onWarning })
  waiting.look(new Map([[1, 'x']]))
  clock.advance(TOLD_AFTER_MS)
  waiting.look(new Map([[1, 'x']]))
  expect(waiting.now?.ms).toBe(TOLD_AFTER_MS)
  expect(listed([7])).toBe('shard 7')
  expect(listed(Array.from({ length: 64 }, (_, shard) => shard))).toBe('shards 0, 1, 2, 3, 4, 5, 6, 7 and 56 more')
})

test('timers that stand still are told of, in one line for all shards, and degrade their node', async () => {
  const bench = new LaneBench()
  const fails = async (): Promise<never> => {
    throw away
  }
  const inOne = { ask: fails, query: fails, inShard: (shard: number) => `$timers/${shard}`, knows: () => true }
  const effects = { ...inOne, from: () => inOne }
  const timers = new Timers({
    clock: bench.clock,
    otherTime: () => undefined,
    effects: effects as unknown as ShardEffects,
    shards: SHARDS,
    schedules: [],
    newId: () => 'id',
    onWarning: (message) => void bench.warnings.push(message),
  })
  onTestFinished(() => timers.close())
  for (let passed = 0; passed <= WAITING_MS + 1_000; passed += 250) {
    timers.run(new Map([0, 1, 2].map((shard) => [shard, 1])))
    await bench.pass(250)
  }
  expect(bench.warnings).toEqual([
    'what runs timers waits in shards 0, 1, 2 since 5 s, and tries again: nobody serves it',
  ])
  const { condition } = timers
  expect(degradedOf(found({ wheels: condition }))).toEqual([
    expect.stringMatching(/^what runs timers waits in shards 0, 1, 2 since \d+ ms, and tries again/),
  ])
  expect(toJson(found({ wheels: condition }))).toMatchObject({ timers: { waiting: [0, 1, 2] } })
})

test('a busy reactor whose events each fail once, and then succeed, waits with none of them for long', async () => {
  const bench = new LaneBench()
  const failed = new Set<string>()
  const { running, look } = run(bench, {
    one: (event) => {
      if (failed.has(event.id)) return
      failed.add(event.id)
      throw new Error(`${event.id} fails once`)
    },
  })
  // At each moment some of them are to be tried again.
  let added = 0
  const add = (): void => {
    for (let n = 0; n < 6; n += 1) bench.add(`a/${(added += 1)}`)
    bench.clock.after(50, add)
  }
  add()
  let [looks, waits, longest] = [0, 0, 0]
  for (; looks < WAITING_MS / 250; looks += 1) {
    await look(250)
    const ms = running.condition.waiting?.ms
    if (ms !== undefined) waits += 1
    longest = Math.max(longest, ms ?? 0)
  }
  expect(failed.size).toBeGreaterThan(1_000)
  expect(waits).toBeGreaterThan(looks * 0.9)
  expect(longest).toBeLessThan(TOLD_AFTER_MS)
  expect(bench.warnings).toEqual([])
})

test('what a consumer has parked is told of all its shards together, once it is much', async () => {
  const bench = new LaneBench()
  const { running, look } = run(bench, {
    one: () => {
      throw new NonRetryableError('it is wrong')
    },
  })
  bench.add(...Array.from({ length: 100 }, (_, n) => `a/${n}`))
  await look(5_000)
  expect(running.condition.parkedStreams).toBe(100)
  expect(bench.warnings).toHaveLength(TOLD_MAX)
  await look(TOLD_WITHIN_MS)
  expect(bench.warnings.slice(TOLD_MAX)).toEqual([
    expect.stringMatching(/^outbox deposits has parked events of 90 more streams, .*it is wrong/),
  ])
})

test('a wait begins anew with another event, and goes on with the same one, whatever else is said meanwhile', () => {
  const clock = new SimulatedClock()
  const warnings: string[] = []
  const waiting = new Waiting('reactor mails', { clock, onWarning: (message) => void warnings.push(message) })
  const look = (ms: number, event: string | undefined): void => {
    const events = new Map(event === undefined ? [] : [[1, event]])
    for (let passed = 0; passed < ms; passed += 250) {
      waiting.look(new Map([[1, 'it fails']]), events)
      clock.advance(250)
    }
  }
  look(4_000, 'a/1')
  look(2_000, undefined)
  look(2_000, 'a/1')
  expect(waiting.now?.ms).toBe(8_000)
  expect(warnings).toEqual(['reactor mails waits in shard 1 since 5 s, and tries again: it fails'])
  look(4_000, 'b/1')
  expect(waiting.now?.ms).toBe(4_000)
  // What was told of is over, and what waits now is no news yet.
  expect(warnings.slice(1)).toEqual(['reactor mails waits no more here, after 8 s'])
  look(2_000, undefined)
  expect(warnings.slice(2)).toEqual(['reactor mails waits in shard 1 since 5 s, and tries again: it fails'])
})
