/**
 * The owner of a schedule whose clock is set back, and ahead again until it is right, while another clock is right: nodes
 * start, and keep it, at any time, and one without it stops it for some minutes. Each run is due once, in order, none before the
 * schedule was begun.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ScheduleRecord, type ToldTimetable } from '../../src/react/schedule-record.ts'
import type { Timetable } from '../../src/react/timetable.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { ProcessWorld } from './process-world.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const STREAM = '$schedule/nightly'
const table: Timetable = { cron: '*/5 * * * * *', timezone: 'UTC', missed: 'all' }
const EVERY_MS = 5 * SECOND

const passMs = fc.oneof(fc.integer({ min: 1, max: 20 * SECOND }), fc.integer({ min: 1, max: 5 * MINUTE }))
const behindMs = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: MINUTE }),
  fc.integer({ min: 1, max: 120 * MINUTE }),
)
const step = fc.oneof(
  fc.record({ do: fc.constant('pass' as const), ms: passMs }),
  fc.record({ do: fc.constant('set' as const), ms: behindMs }),
  fc.record({ do: fc.constantFrom('start' as const, 'keep' as const) }),
  fc.record({ do: fc.constant('stop' as const), ms: behindMs, comesBackInMs: fc.integer({ min: 1, max: 9 * MINUTE }) }),
)

class Owner {
  readonly #world = new ProcessWorld([ScheduleRecord])
  readonly #unsent = new Set<string>()
  #behindMs = 0

  setBehind(ms: number): void {
    this.#world.clock.jump(this.#behindMs - ms)
    this.#behindMs = ms
  }

  pass(ms: number): void {
    this.#world.clock.advance(ms)
    this.#fire()
  }

  tell(name: 'start' | 'keep'): void {
    const told: ToldTimetable = { ...table, otherTime: this.time }
    expect(this.#world.ask(STREAM, name, told).kind).toBe('accepted')
    this.#fire()
  }

  /** Its last run comes to a node that does not have it. */
  stop(): boolean {
    const last = this.#due.at(-1)
    if (last === undefined || this.#unsent.has(last.id)) return false
    this.#unsent.add(last.id)
    this.#world.ask(STREAM, 'stop', { from: timeOf(last), otherTime: this.time })
    return true
  }

  /** What is so. */
  get time(): number {
    return this.#world.clock.now() + this.#behindMs
  }

  get runs(): readonly number[] {
    return this.#due.filter(({ id }) => !this.#unsent.has(id)).map(timeOf)
  }

  get #due(): readonly FeedEvent[] {
    return this.#world.of(STREAM).filter(({ type }) => type === 'RunDue')
  }

  #fire(): void {
    for (;;) {
      const { next } = this.#world.state(STREAM) as { readonly next?: { readonly at: number; readonly token: string } }
      if (next === undefined || next.at > this.#world.clock.now()) return
      this.#world.ask(STREAM, 'fire', { token: next.token })
    }
  }
}

function timeOf({ data }: FeedEvent): number {
  return (data as { readonly time: number }).time
}

test('a schedule whose owner has a clock that is behind neither repeats a run nor runs one from before it began', () => {
  fc.assert(
    fc.property(behindMs, fc.array(step, { maxLength: 30 }), (first, steps) => {
      const owner = new Owner()
      owner.setBehind(first)
      const begun = owner.time
      owner.tell('start')
      for (const each of steps) {
        if (each.do === 'pass') owner.pass(each.ms)
        else if (each.do === 'set') owner.setBehind(each.ms)
        else if (each.do === 'stop') {
          if (!owner.stop()) continue
          owner.setBehind(each.ms)
          owner.pass(each.comesBackInMs)
          owner.tell('keep')
        } else owner.tell(each.do)
      }
      owner.setBehind(0)
      owner.pass(EVERY_MS)
      const { runs } = owner
      const count = Math.floor(owner.time / EVERY_MS) - Math.floor(begun / EVERY_MS)
      const expected = Array.from({ length: count }, (_, i) => (Math.floor(begun / EVERY_MS) + 1 + i) * EVERY_MS)
      expect(runs).toEqual(expected)
    }),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 200) },
  )
})
