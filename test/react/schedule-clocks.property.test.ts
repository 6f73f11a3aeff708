/**
 * The owner of a schedule, and another clock that it is told of, are set to any time, again and again, while nodes start that
 * have it with another `missed`, and keep it. Nothing is due twice, and once both clocks are right it goes on from the present.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Timetable } from '../../src/react/timetable.ts'
import { ScheduleOwner } from './schedule-owner.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const EVERY_MS = 5 * SECOND
const MOST_MS = 10 * MINUTE

const aheadMs = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -2 * MINUTE, max: 2 * MINUTE }),
  fc.integer({ min: -MOST_MS, max: MOST_MS }),
)
const missed = fc.constantFrom('skip' as const, 'once' as const, 'all' as const)
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: MINUTE }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('set' as const, 'set other' as const), ms: aheadMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('keep' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('start' as const), missed }) },
)

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never
const ahead = (ms: number): readonly Step[] => [
  { do: 'set', ms },
  { do: 'pass', ms: 1 },
]
/** That were found. */
const examples: [Timetable['missed'], Step[]][] = [
  ['once', [...ahead(14_995), ...ahead(84_992)]],
  [
    'skip',
    [
      { do: 'pass', ms: 4_998 },
      { do: 'set', ms: -4 },
      { do: 'set other', ms: -4 },
      { do: 'start', missed: 'all' },
    ],
  ],
  // To the millisecond a minute is passed over.
  ['skip', [{ do: 'set', ms: 64_993 }, { do: 'start', missed: 'once' }, { do: 'set', ms: 129_990 }, { do: 'keep' }]],
]

test('whatever clocks are set to nothing is due twice, and a schedule goes on once they are right', () => {
  fc.assert(
    fc.property(missed, fc.array(step, { maxLength: 14 }), (first, steps) => {
      const owner = new ScheduleOwner({ cron: '*/5 * * * * *', timezone: 'UTC', missed: first })
      owner.tell('start')
      for (const each of steps) {
        if (each.do === 'pass') owner.pass(each.ms)
        else if (each.do === 'set') owner.setClock(each.ms)
        else if (each.do === 'set other') owner.setOtherClock(each.ms)
        else {
          if (each.do === 'start') owner.table = { ...owner.table, missed: each.missed }
          owner.tell(each.do)
        }
      }
      owner.setClock(0)
      owner.setOtherClock(0)
      owner.tell('keep')
      const right = owner.time
      // As a node does that sees each time as it comes.
      while (owner.time < right + MOST_MS + 2 * MINUTE) owner.pass(EVERY_MS)
      const { runs } = owner
      expect(runs).toHaveLength(new Set(runs).size)
      const since = [
        right + MINUTE,
        ...runs.filter((time) => time > right + MINUTE).toSorted((a, b) => a - b),
        owner.time,
      ]
      // What a clock that was ahead has passed over within a minute is not run.
      for (const [i, time] of since.slice(1).entries()) expect(time - since[i]!).toBeLessThanOrEqual(MINUTE + EVERY_MS)
    }),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 300), examples },
  )
})
