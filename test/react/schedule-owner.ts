/** The owner of a schedule, whose clock may be wrong, as may another that it is told of. */
import { expect } from 'vitest'
import { ScheduleRecord, type ToldTimetable } from '../../src/react/schedule-record.ts'
import type { Timetable } from '../../src/react/timetable.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { ProcessWorld } from './process-world.ts'

const STREAM = '$schedule/nightly'

export class ScheduleOwner {
  table: Timetable
  readonly #world = new ProcessWorld([ScheduleRecord])
  readonly #unsent = new Set<string>()
  #aheadMs = 0
  #otherAheadMs = 0

  constructor(table: Timetable) {
    this.table = table
  }

  /** What is so. */
  get time(): number {
    return this.#world.clock.now() - this.#aheadMs
  }

  /** What is to be sent, in this order. */
  get runs(): readonly number[] {
    return this.#due.filter(({ id }) => !this.#unsent.has(id)).map(timeOf)
  }

  setClock(aheadMs: number): void {
    this.#world.clock.jump(aheadMs - this.#aheadMs)
    this.#aheadMs = aheadMs
  }

  setOtherClock(aheadMs: number): void {
    this.#otherAheadMs = aheadMs
  }

  pass(ms: number): void {
    this.#world.clock.advance(ms)
    this.#fire()
  }

  tell(name: 'start' | 'keep'): void {
    const told: ToldTimetable = { ...this.table, otherTime: this.#otherTime }
    expect(this.#world.ask(STREAM, name, told).kind).toBe('accepted')
    this.#fire()
  }

  /** Its last run comes to a node that does not have it. Returns whether there is one. */
  stop(): boolean {
    const last = this.#due.at(-1)
    if (last === undefined || this.#unsent.has(last.id)) return false
    this.#unsent.add(last.id)
    this.#world.ask(STREAM, 'stop', { from: timeOf(last), otherTime: this.#otherTime })
    return true
  }

  get #otherTime(): number {
    return this.time + this.#otherAheadMs
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
