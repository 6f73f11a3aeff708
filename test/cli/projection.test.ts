import { describe, expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { problems, projectionTable, shownOf, toJson } from '../../src/cli/projection-picture.ts'
import { ProjectionCluster } from '../../src/cli/projection-cluster.ts'
import { untilLive } from '../../src/cli/projection-rebuild.ts'
import { begin } from '../../src/cli/rebuild-begin.ts'
import { comeTo, type Outcome } from '../../src/cli/rebuild-outcome.ts'
import type { Sighting } from '../../src/cli/projection-sightings.ts'
import { nodeClosed } from '../../src/cluster/error.ts'
import type { Member } from '../../src/cluster/leases.ts'
import { ConnectionError } from '../../src/cluster/network.ts'
import { defineCluster } from '../../src/index.ts'
import type { ProjectionStatus, RebuildStatus } from '../../src/read/projection-status.ts'
import { Account } from '../account.ts'

const LANE = {
  lane: 'all',
  state: 'running',
  place: { position: 1, shard: 0 },
  head: 1,
  lag: { positions: 0, ms: 0 },
  events: 1,
  stillMs: 0,
  trouble: undefined,
} as const
const GENERATION = {
  generation: 1,
  state: 'caught up',
  lanes: [LANE],
  elsewhere: [],
  lag: { positions: 0, ms: 0 },
  events: 1,
  parkedStreams: 0,
  trouble: undefined,
} as const

function status(more: Partial<ProjectionStatus> = {}): ProjectionStatus {
  return { name: 'balances', ...GENERATION, rebuild: undefined, unfinished: undefined, previous: undefined, ...more }
}

function rebuilt(more: Partial<RebuildStatus>): ProjectionStatus {
  return status({ rebuild: { ...GENERATION, generation: 2, fraction: 0.5, isHeldBack: false, ...more } })
}

const at = (name: string, said: ProjectionStatus): Sighting => ({ member: { name } as Member, status: said })
const elsewhere = { state: 'elsewhere', lanes: [], lag: undefined } as const

test('what has become of a rebuild is live, under way, not heard of, or stuck with what to do', () => {
  const said = (one: ProjectionStatus): Outcome => comeTo([at('first', one)], 'balances', 2)
  expect(said(status({ generation: 2 }))).toEqual({ kind: 'live' })
  expect(said(rebuilt({ state: 'running' }))).toEqual({ kind: 'under way', fraction: 0.5 })
  expect(said(rebuilt({ state: 'running', isHeldBack: true }))).toMatchObject({ kind: 'under way' })
  expect(said(rebuilt({ state: 'caught up' }))).toMatchObject({ kind: 'under way' })
  expect(said(status({ state: 'waiting' })), 'its store does not say').toMatchObject({ kind: 'under way' })
  for (const [found, problem] of [
    [rebuilt({ state: 'caught up', isHeldBack: true }), /parked events of 0 streams; .* promote balances/],
    [rebuilt({ state: 'halted', trouble: 'why' }), /stands still at first: why; .*penhold projection resume balances/],
    [rebuilt({ state: 'paused' }), /is paused; run penhold projection resume balances/],
  ] as const) {
    expect(said(found)).toEqual({ kind: 'stuck', problem: expect.stringMatching(problem) as string })
  }
  for (const [found, problem] of [
    [status(), /not there any more/],
    [rebuilt({ generation: 3 }), /not there any more/],
    [status({ unfinished: 2 }), /somebody has gone back from it; .* balances --resume/],
  ] as const) {
    expect(said(found)).toEqual({ kind: 'unheard of', problem: expect.stringMatching(problem) as string })
  }
})

test('by shard, what has become of a rebuild is what all nodes say together', () => {
  const lanes = (...shards: number[]): (typeof LANE & { lane: string })[] =>
    shards.map((shard) => ({ ...LANE, lane: String(shard) }) as never)
  const others = (...shards: number[]) =>
    shards.map((shard) => ({ lane: String(shard), place: LANE.place, head: 1, lag: LANE.lag }))
  const part = (here: readonly number[], more: Partial<RebuildStatus>, live: Partial<ProjectionStatus> = {}) => {
    const there = [0, 1, 2, 3].filter((shard) => !here.includes(shard))
    const of = { lanes: lanes(...here), elsewhere: others(...there) }
    return status({ ...of, rebuild: rebuilt({ ...of, ...more }).rebuild, ...live })
  }
  const said = (...all: readonly ProjectionStatus[]): Outcome =>
    comeTo(
      all.map((one, i) => at(['first', 'second', 'third'][i]!, one)),
      'balances',
      2,
    )
  const running = (fraction: number): Partial<RebuildStatus> => ({ state: 'running', fraction })
  const fraction = (of: number): Outcome => ({ kind: 'under way', fraction: of })
  const stuck = (problem: RegExp): Outcome => ({ kind: 'stuck', problem: expect.stringMatching(problem) as string })
  expect(said(part([0], running(1)), part([1, 2, 3], running(0.2)))).toEqual(fraction(0.4))
  expect(said(part([0, 1], running(1)), status(elsewhere)), 'two lanes are on their way').toEqual(fraction(0.5))
  expect(said(part([0, 1], running(1)), part([2, 3], {}, { rebuild: undefined })), 'it has not heard of it').toEqual(
    fraction(0.5),
  )
  const caughtUp = { state: 'caught up', fraction: 1, isHeldBack: true, parkedStreams: 3 } as const
  expect(said(part([0, 1], caughtUp), part([2, 3], { ...running(0.5), isHeldBack: true }))).toMatchObject(
    fraction(0.75),
  )
  expect(said(part([0, 1], caughtUp), part([2, 3], { ...caughtUp, isHeldBack: false })), 'promoted').toMatchObject({
    kind: 'under way',
  })
  expect(said(part([0, 1], caughtUp), part([2, 3], caughtUp))).toEqual(stuck(/parked events of 3 streams; see/))
  expect(said(part([0, 1], { state: 'paused' }), part([2, 3], running(0))), 'resumed').toMatchObject(fraction(0.25))
  expect(said(part([0, 1], { state: 'paused' }), part([2, 3], { state: 'paused' }))).toEqual(stuck(/is paused/))
  const halted = (trouble: string) => ({ state: 'halted', trouble }) as const
  expect(said(part([0, 1], running(0)), part([2, 3], halted('poison')))).toEqual(
    stuck(/stands still at second: poison;/),
  )
  expect(said(part([0, 1], halted('one')), part([2, 3], halted('two')))).toEqual(
    stuck(/stands still at first: one; at second: two; then run/),
  )
  const unopened = status({ ...elsewhere, ...halted('a newer format') })
  expect(said(part([0, 1], running(0)), unopened)).toEqual(stuck(/stands still at second: a newer format;/))
  expect(said(part([0, 1, 2, 3], running(1)), unopened), 'nobody waits for it').toEqual(fraction(1))
  expect(said(part([0, 1], running(1)), part([2, 3], {}, { generation: 2, rebuild: undefined }))).toEqual({
    kind: 'live',
  })
})

describe('a rebuild that is followed', () => {
  const HEARD = rebuilt({ state: 'running', fraction: 0.5 })
  /** One look after the other, the last again and again. */
  function follow(signal: AbortSignal, ...looks: readonly ProjectionStatus[]) {
    const shown: number[] = []
    let look = 0
    const running = (): Promise<readonly Sighting[]> => {
      look += 1
      return Promise.resolve([at('first', looks[look - 1] ?? looks.at(-1)!)])
    }
    const following = { signal, lookMs: 0, onProgress: (fraction: number) => void shown.push(fraction) }
    return { shown, ended: untilLive({ running }, { name: 'balances', generation: 2 }, following) }
  }
  const never = new AbortController().signal

  test('goes on where a lane is taken over, or a node has not heard of it, and ends when it is live', async () => {
    const moved = rebuilt({ state: 'running', fraction: 0.1 })
    const unheard = Array.from({ length: 20 }, () => status())
    const { shown, ended } = follow(never, HEARD, moved, ...unheard, HEARD, ...unheard, status({ generation: 2 }))
    expect(await ended).toEqual(['first'])
    expect(shown, 'what was shown is not taken back').toEqual([0.5, 0.5, 0.5])
  })

  test('ends with what is to be done where somebody has aborted it, gone back from it, or it stands still', async () => {
    await expect(follow(never, HEARD, status()).ended).rejects.toThrow('somebody has aborted its rebuild')
    await expect(follow(never, HEARD, status({ unfinished: 2 })).ended).rejects.toThrow(
      'somebody has gone back from it',
    )
    await expect(follow(never, HEARD, rebuilt({ state: 'halted' })).ended).rejects.toThrow('stands still at first')
  })

  test('is let go of by Ctrl-C', async () => {
    const stop = new AbortController()
    const { ended } = follow(stop.signal, HEARD)
    stop.abort()
    expect(await ended).toBeUndefined()
  })
})

test('whoever is called and leaves meanwhile has left; what it throws otherwise is told', async () => {
  const config = defineCluster({ name: 'x', aggregates: [Account], dataDir: 'none' })
  const calls = async (answer: () => Promise<unknown>): Promise<unknown> => {
    const ports = { network: undefined as never, leases: undefined as never, signal: new AbortController().signal }
    const cluster = new ProjectionCluster(config, ports)
    const running = (): Promise<readonly Sighting[]> => Promise.resolve([at('first', status())])
    return await Object.assign(cluster, { running, call: answer }).callRunner('balances', { call: 'rebuild' })
  }
  expect(await calls(() => Promise.resolve(2))).toEqual({ value: 2 })
  expect(await calls(() => Promise.reject(new ConnectionError('closed', 'it is gone')))).toBe('left')
  expect(await calls(() => Promise.reject(nodeClosed('unknown')))).toBe('left')
  const refusal = new PenholdError('ProjectionState', 'not now', { outcome: 'none', retryable: false })
  await expect(calls(() => Promise.reject(refusal))).rejects.toBe(refusal)
})

describe('a rebuild whose node leaves while it is asked', () => {
  /** Nodes that answer so, one call after the other, and what was called. */
  function nodes(before: ProjectionStatus, ...answers: readonly ('left' | number | PenholdError)[]) {
    const calls: string[] = []
    const after: { status: ProjectionStatus } = { status: before }
    const callRunner = async (_name: string, { call }: { readonly call: string }) => {
      const answer = answers[calls.length]
      calls.push(call)
      await Promise.resolve()
      if (typeof answer === 'object') throw answer
      return answer === 'left' ? answer : { value: answer }
    }
    return { calls, after, running: () => Promise.resolve([at('first', after.status)]), callRunner }
  }
  const nothing = new PenholdError('ProjectionState', 'no rebuild is unfinished', { outcome: 'none', retryable: false })

  test('is gone on with by another, where it was begun', async () => {
    const cluster = nodes(status(), 'left', 'left', 2)
    expect(await begin(cluster, 'balances', 'rebuild')).toBe(2)
    expect(cluster.calls).toEqual(['rebuild', 'resumeRebuild', 'resumeRebuild'])
  })

  test('is begun by another, where it was not', async () => {
    const cluster = nodes(status(), 'left', nothing, 2)
    expect(await begin(cluster, 'balances', 'rebuild')).toBe(2)
    expect(cluster.calls).toEqual(['rebuild', 'resumeRebuild', 'rebuild'])
  })

  test('is not begun again where it is live already', async () => {
    const cluster = nodes(status(), 'left', nothing)
    const { callRunner } = cluster
    cluster.callRunner = async (name, call) => {
      if (call.call === 'resumeRebuild') cluster.after.status = status({ generation: 2 })
      return await callRunner(name, call)
    }
    expect(await begin(cluster, 'balances', 'rebuild')).toBe(2)
  })

  test('does not go on with what somebody else has left', async () => {
    const refused = new PenholdError('ProjectionState', 'generation 2 is unfinished', nothing)
    const cluster = nodes(status({ unfinished: 2 }), 'left', refused)
    await expect(begin(cluster, 'balances', 'rebuild')).rejects.toBe(refused)
    expect(cluster.calls).toEqual(['rebuild', 'rebuild'])
  })
})

test('of each projection the node that runs it is shown, or one that could not begin, or that nobody does', () => {
  const shown = shownOf({
    all: [
      at('first', status({ state: 'halted', trouble: 'it is damaged; rebuild' })),
      at('second', status(elsewhere)),
      at('first', status({ ...elsewhere, name: 'lines' })),
      at('second', status({ ...elsewhere, name: 'lines' })),
      at('second', { ...rebuilt({ state: 'halted', trouble: 'a bug' }), name: 'names', lag: { positions: 9, ms: 12 } }),
      at('first', status({ ...elsewhere, name: 'sums', state: 'halted', trouble: 'a newer format' })),
    ],
  })
  expect(projectionTable(shown).split('\n').slice(1)).toEqual([
    expect.stringMatching(/^balances +first +1 +halted +0 ms +0 +-$/),
    expect.stringMatching(/^lines +- +- +nowhere +\? +\? +-$/),
    expect.stringMatching(/^names +second +1 +caught up +12 ms +0 +50 %$/),
    expect.stringMatching(/^sums +first +1 +halted +\? +0 +-$/),
  ])
  expect(toJson(shown)).toMatchObject([{ name: 'balances', node: 'first' }, { state: 'nowhere' }, {}, {}])
  expect(problems(shown)).toEqual([
    'projection balances stands still at first: it is damaged; rebuild',
    expect.stringMatching(/^no node runs projection lines at the moment; /),
    'the rebuild of names stands still at second: a bug',
    'projection sums stands still at first: a newer format',
  ])
  expect(problems(shownOf({ all: [at('first', status({ state: 'paused' }))] }))).toEqual([])
})
