import { expect, test } from 'vitest'
import { problems, projectionTable, shownOf, toJson } from '../../src/cli/projection-picture.ts'
import { comeTo } from '../../src/cli/projection-rebuild.ts'
import type { Sighting } from '../../src/cli/projection-sightings.ts'
import type { Member } from '../../src/cluster/leases.ts'
import type { ProjectionStatus, RebuildStatus } from '../../src/read/projection-status.ts'

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

test('what has become of a rebuild is live, under way, interrupted, or stuck with what to do', () => {
  expect(comeTo(status({ generation: 2 }), 2)).toEqual({ kind: 'live' })
  expect(comeTo(rebuilt({ state: 'running' }), 2)).toEqual({ kind: 'under way', fraction: 0.5 })
  expect(comeTo(rebuilt({ state: 'running', isHeldBack: true }), 2)).toMatchObject({ kind: 'under way' })
  expect(comeTo(rebuilt({ state: 'caught up' }), 2)).toMatchObject({ kind: 'under way' })
  expect(comeTo(status({ unfinished: 2 }), 2)).toEqual({ kind: 'interrupted' })
  for (const [found, problem] of [
    [rebuilt({ state: 'caught up', isHeldBack: true }), /parked events; .*penhold projection promote balances/],
    [rebuilt({ state: 'halted', trouble: 'why' }), /stands still: why; .*penhold projection resume balances/],
    [rebuilt({ state: 'paused' }), /is paused; run penhold projection resume balances/],
    [status(), /not there any more/],
    [rebuilt({ generation: 3 }), /not there any more/],
  ] as const) {
    expect(comeTo(found, 2)).toMatchObject({ kind: 'stuck', problem: expect.stringMatching(problem) as string })
  }
})

test('of each projection the node that runs it is shown, or one that could not begin, or that nobody does', () => {
  const at = (name: string, said: ProjectionStatus): Sighting => ({ member: { name } as Member, status: said })
  const elsewhere = { state: 'elsewhere', lanes: [], lag: undefined } as const
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
    'the rebuild of names stands still: a bug',
    'projection sums stands still at first: a newer format',
  ])
  expect(problems(shownOf({ all: [at('first', status({ state: 'paused' }))] }))).toEqual([])
})
