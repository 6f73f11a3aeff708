/**
 * The owner of a schedule whose clock is set back, and ahead again until it is right, while another clock is right: nodes
 * start, and keep it, at any time, and one without it stops it for some minutes. Each run is due once, in order, none before the
 * schedule was begun.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ScheduleOwner } from './schedule-owner.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const EVERY_MS = 5 * SECOND

const passMs = fc.oneof(fc.integer({ min: 1, max: 20 * SECOND }), fc.integer({ min: 1, max: 5 * MINUTE }))
const aheadMs = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -MINUTE, max: -1 }),
  fc.integer({ min: -120 * MINUTE, max: -1 }),
)
const comesBackInMs = fc.integer({ min: 1, max: 9 * MINUTE })
const step = fc.oneof(
  fc.record({ do: fc.constant('pass' as const), ms: passMs }),
  fc.record({ do: fc.constant('set' as const), ms: aheadMs }),
  fc.record({ do: fc.constantFrom('start' as const, 'keep' as const) }),
  fc.record({ do: fc.constant('stop' as const), ms: aheadMs, comesBackInMs }),
)

test('a schedule whose owner has a clock that is behind loses and repeats no run, and runs none from before it began', () => {
  fc.assert(
    fc.property(aheadMs, fc.array(step, { maxLength: 30 }), (first, steps) => {
      const owner = new ScheduleOwner({ cron: '*/5 * * * * *', timezone: 'UTC', missed: 'all' })
      owner.setClock(first)
      const begun = owner.time
      owner.tell('start')
      for (const each of steps) {
        if (each.do === 'pass') owner.pass(each.ms)
        else if (each.do === 'set') owner.setClock(each.ms)
        else if (each.do !== 'stop') owner.tell(each.do)
        else if (owner.stop()) {
          owner.setClock(each.ms)
          owner.pass(each.comesBackInMs)
          owner.tell('keep')
        }
      }
      owner.setClock(0)
      owner.pass(EVERY_MS)
      const { runs } = owner
      const count = Math.floor(owner.time / EVERY_MS) - Math.floor(begun / EVERY_MS)
      const expected = Array.from({ length: count }, (_, i) => (Math.floor(begun / EVERY_MS) + 1 + i) * EVERY_MS)
      expect(runs).toEqual(expected)
    }),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 200) },
  )
})
