import { expect, test, vi } from 'vitest'
import {
  AWAITED_MS,
  degradedOf,
  judgeLive,
  judgeReady,
  SILENT_MS,
  STUCK_MS,
  WAITING_MS,
  toJson,
  toMeasure,
} from '../../src/node/health.ts'
import { NO_TIMERS } from '../../src/react/timers.ts'
import type { Examination } from '../../src/node/health.ts'
import type { LocalCondition } from '../../src/node/projections.ts'
import { ANSWER_MS, Pulse, type WorkerReading } from '../../src/node/pulse.ts'
import type { WorkerHandle } from '../../src/node/worker-handle.ts'
import type { WorkerStatus } from '../../src/node/worker-host.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const HANDLER_MS = 5_000
const OWNERSHIP = { isDraining: false, storeAwayMs: undefined, awaited: [], leaving: [] }
const STATUS: WorkerStatus = {
  journal: 3,
  shards: [
    { shard: 0, epoch: 2, seq: 9, undurable: 1 },
    { shard: 1, epoch: 1, seq: 0, undurable: 0 },
  ],
  lag: { records: 1, bytes: 200, oldestMs: 4 },
  isFull: false,
  isInPlace: true,
  refused: [],
  tornTails: 0,
  indexesRebuilt: 0,
  activeActors: 0,
}
const answered = (more: Partial<WorkerStatus> = {}): WorkerReading => ({
  kind: 'answered',
  status: { ...STATUS, ...more },
})

function found(more: Partial<Examination> = {}): Examination {
  return {
    phase: 'serving',
    workers: [answered()],
    ownership: OWNERSHIP,
    lost: [],
    projections: [],
    reactors: [],
    inboxes: [],
    wheels: NO_TIMERS,
    ...more,
  }
}

const isReady = (more: Partial<Examination>): boolean => judgeReady(found(more)).isWell
const isLive = (more: Partial<Examination>): boolean => judgeLive(found(more), HANDLER_MS).isWell

test('a node is ready while it serves, and not while it starts, stops or is drained', () => {
  expect(judgeReady(found())).toEqual({ isWell: true, why: [] })
  for (const phase of ['starting', 'stopping'] as const) expect(isReady({ phase }), phase).toBe(false)
  expect(isReady({ ownership: { ...OWNERSHIP, isDraining: true } })).toBe(false)
})

test.each<[string, WorkerReading]>([
  ['is replaced', { kind: 'absent', ms: 0 }],
  ['does not answer', { kind: 'silent', ms: 1 }],
  ['finds no room', answered({ isFull: true })],
  ['has its journal taken away', answered({ isInPlace: false })],
  ['waits for a sync that does not end', answered({ lag: { records: 1, bytes: 1, oldestMs: STUCK_MS } })],
])('a node is not ready while one of its workers %s', (_, reading) => {
  const { isWell, why } = judgeReady(found({ workers: [answered(), reading] }))
  expect([isWell, why]).toEqual([false, [expect.stringContaining('worker 1')]])
})

test('a node is not ready with shards that it was given and does not take over, or that were taken from one alone', () => {
  const awaited = (ms: number) => ({ ownership: { ...OWNERSHIP, awaited: [{ shard: 7, worker: 0, ms }] } })
  expect(isReady(awaited(AWAITED_MS - 1))).toBe(true)
  expect(judgeReady(found(awaited(AWAITED_MS))).why).toEqual([expect.stringContaining('shard 7')])
  expect(isReady({ lost: [3] })).toBe(false)
})

test('neither Redis, nor a damaged file, nor what waits for the disk for a moment makes a node unready; it is told', () => {
  const away = { ...OWNERSHIP, storeAwayMs: 600_000 }
  expect(isReady({ ownership: away })).toBe(true)
  expect(toJson(found({ ownership: away }))).toMatchObject({ redis: { isAway: true, awayMs: 600_000 } })
  const refused = [{ shard: 7, code: 'LogCorrupt', isDamaged: true, reason: 'it is at /secret/place' }]
  const ownership = { ...OWNERSHIP, awaited: [{ shard: 7, worker: 0, ms: 60_000 }] }
  const damaged = found({ workers: [answered({ refused })], ownership })
  expect(judgeReady(damaged).isWell).toBe(true)
  expect(toJson(damaged)).toMatchObject({ workers: [{ refused: [7] }] })
  expect(JSON.stringify(toJson(damaged))).not.toContain('secret')
  // Another node, with newer definitions, could open it.
  const unknown = [{ ...refused[0]!, code: 'BadDefinition' }]
  expect(isReady({ workers: [answered({ refused: unknown })], ownership })).toBe(false)
})

test('a node is live, whatever it lacks, until a worker has not answered for longer than any watchdog takes', () => {
  const late = HANDLER_MS + SILENT_MS
  for (const phase of ['starting', 'stopping'] as const) expect(isLive({ phase }), phase).toBe(true)
  expect(
    isLive({ lost: [1], workers: [{ kind: 'absent', ms: late - 1 }, answered({ isFull: true, isInPlace: false })] }),
  ).toBe(true)
  expect(isLive({ workers: [answered(), { kind: 'silent', ms: late - 1 }] })).toBe(true)
  expect(isLive({ workers: [answered(), { kind: 'silent', ms: late }] })).toBe(false)
  expect(isLive({ workers: [answered(), { kind: 'absent', ms: late }] })).toBe(false)
  expect(isLive({ phase: 'starting', workers: [answered(), { kind: 'absent', ms: late }] })).toBe(true)
})

test('who asks over the wire is told of each worker and each shard, also of those on their way', () => {
  const ownership = { ...OWNERSHIP, leaving: [1], awaited: [{ shard: 7, worker: 1, ms: 20 }] }
  const { workers, shards } = toMeasure(found({ workers: [answered(), { kind: 'silent', ms: 9 }], ownership }))
  expect(workers).toMatchObject([
    { state: 'writes', journal: 3, records: 1, bytes: 200, oldestMs: 4 },
    { state: 'silent' },
  ])
  expect(shards).toMatchObject([
    { shard: 0, worker: 0, state: 'served', epoch: 2, seq: 9, undurable: 1 },
    { shard: 1, worker: 0, state: 'leaving' },
    { shard: 7, worker: 1, state: 'awaited', ms: 20 },
  ])
})

test('a projection that stands still makes nobody unready, and is told, as is what else does not mend itself', () => {
  const projection = { name: 'balances', state: 'running', rebuild: undefined, waitingMs: 0 } as const
  const of = (more: Partial<LocalCondition>): Examination => found({ projections: [{ ...projection, ...more }] })
  const troubled: readonly [Partial<LocalCondition>, readonly string[]][] = [
    [{}, []],
    [{ state: 'paused' }, []],
    [{ state: 'elsewhere' }, []],
    [{ state: 'waiting', waitingMs: WAITING_MS - 1 }, []],
    [{ state: 'waiting', waitingMs: WAITING_MS }, ['projection balances waits since 60000 ms']],
    [{ state: 'starting', waitingMs: WAITING_MS - 1 }, []],
    [{ state: 'starting', waitingMs: WAITING_MS }, ['projection balances waits since 60000 ms']],
    [{ state: 'halted' }, ['projection balances stands still until somebody mends it']],
    [{ rebuild: 'halted' }, ['the rebuild of projection balances stands still until somebody mends it']],
  ]
  for (const [more, degraded] of troubled) {
    expect(degradedOf(of(more)), JSON.stringify(more)).toEqual(degraded)
    expect(judgeReady(of(more)).isWell).toBe(true)
    expect(toJson(of(more))).toMatchObject({ projections: [{ ...projection, ...more }] })
  }
  const refused = [{ shard: 7, code: 'LogCorrupt', isDamaged: true, reason: '' }]
  const ownership = { ...OWNERSHIP, storeAwayMs: 5 }
  expect(degradedOf(found({ workers: [answered({ refused })], ownership }))).toEqual([
    'Redis is away since 5 ms: nothing moves',
    'closed by damage: shard 7',
  ])
})

test('an inbox that waits for long, or has parked something, makes nobody unready, and is told', () => {
  const told = { name: 'payments', state: 'waiting', waitingMs: WAITING_MS, parked: 2 } as const
  const inbox = { ...told, trouble: 'its secret is wrong', place: '1-0', lost: 0, rejected: 0 }
  expect(isReady({ inboxes: [inbox] })).toBe(true)
  expect(degradedOf(found({ inboxes: [inbox] }))).toEqual([
    expect.stringMatching(/^inbox payments waits since 60000 ms, and tries again/),
    'inbox payments has parked 2 messages',
  ])
  expect(degradedOf(found({ inboxes: [{ ...inbox, waitingMs: WAITING_MS - 1, parked: 0 }] }))).toEqual([])
  expect(toJson(found({ inboxes: [inbox] }))).toMatchObject({ inboxes: [told] })
  // Its text may be anything, and probes are anybody's.
  expect(JSON.stringify(toJson(found({ inboxes: [inbox] })))).not.toContain('secret')
})

/** A worker that answers when it is let. */
function worker() {
  let answer = Promise.withResolvers<WorkerStatus | undefined>()
  const state = { questions: 0 }
  const status = (): Promise<WorkerStatus | undefined> => {
    state.questions += 1
    answer = Promise.withResolvers()
    return answer.promise
  }
  return { state, handle: { status } as unknown as WorkerHandle, say: (said?: WorkerStatus) => answer.resolve(said) }
}

test('a worker that does not answer is waited for no longer than a prober waits, asked once, and its silence grows', async () => {
  const clock = new SimulatedClock()
  const pulse = new Pulse(clock)
  const hung = worker()
  const take = async (handles: readonly (WorkerHandle | undefined)[]): Promise<readonly WorkerReading[]> => {
    const readings = pulse.take(handles)
    clock.advance(ANSWER_MS)
    return readings
  }
  expect(await take([hung.handle, undefined])).toEqual([
    { kind: 'silent', ms: ANSWER_MS },
    { kind: 'absent', ms: 0 },
  ])
  clock.advance(60_000)
  expect(await take([hung.handle, undefined])).toEqual([
    { kind: 'silent', ms: 60_000 + 2 * ANSWER_MS },
    { kind: 'absent', ms: 60_000 + ANSWER_MS },
  ])
  expect(hung.state.questions).toBe(1)
  const last = pulse.take([hung.handle])
  hung.say(STATUS)
  expect(await last).toEqual([{ kind: 'answered', status: STATUS }])
  const next = pulse.take([hung.handle])
  hung.say(undefined)
  expect(await next).toEqual([{ kind: 'absent', ms: 0 }])
  expect(hung.state.questions).toBe(2)
})

test('after the process was stopped, and its workers with it, these have time to answer', async () => {
  const clock = new SimulatedClock()
  const due: (() => void)[] = []
  vi.spyOn(clock, 'after').mockImplementation((_ms, callback) => {
    due.push(callback)
    return () => undefined
  })
  const slow = worker()
  const reading = new Pulse(clock).take([slow.handle])
  // It goes on: what came due meanwhile is run.
  for (const callback of due.splice(0)) callback()
  slow.say(STATUS)
  expect(await reading).toEqual([{ kind: 'answered', status: STATUS }])
})

test('timers whose owner the config does not have are told, and make nobody unready', () => {
  const wheels = { ...NO_TIMERS, held: 3, ownerless: new Map([['order', 2]]) }
  expect(isReady({ wheels })).toBe(true)
  expect(degradedOf(found({ wheels }))).toEqual([
    "2 timers of 'order' are due, and the config of this node does not have it",
  ])
  expect(toJson(found({ wheels }))).toMatchObject({ timers: { held: 3, waiting: [], ownerless: { order: 2 } } })
})
