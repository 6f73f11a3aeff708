/**
 * Nodes that have one schedule otherwise, and start in any order, with clocks that are off by any time and are set while they
 * run. What they send is lost, or its answer, or is late. The schedule is as the node has it whose start came last to the log.
 */
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defineSchedule, deriveId } from '../../src/index.ts'
import type { SentCommand, SentOutcome, ShardEffects } from '../../src/react/effects.ts'
import { ScheduleRecord } from '../../src/react/schedule-record.ts'
import { Timers } from '../../src/react/timers.ts'
import type { Timetable } from '../../src/react/timetable.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { Account } from '../account.ts'
import { inTime } from '../in-time.ts'
import { away } from './memory-effects.ts'
import { ProcessWorld } from './process-world.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const STREAM = '$schedule/nightly'
const CRONS = ['0 3 * * *', '0 4 * * *', '0 5 * * *'] as const

const FATES = ['fine', 'lost', 'unheard', 'late'] as const
type Fate = (typeof FATES)[number]

type Step =
  | { readonly do: 'start'; readonly cron: number; readonly skewMs: number }
  | { readonly do: 'jump'; readonly node: number; readonly ms: number }
  | { readonly do: 'close'; readonly node: number }
  | { readonly do: 'minute' }
  | { readonly do: 'stop' }

const skewMs = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -5_000, max: 5_000 }),
  fc.integer({ min: -900 * DAY, max: 900 * DAY }),
)
const node = fc.nat(5)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('start' as const), cron: fc.nat(CRONS.length - 1), skewMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('jump' as const), node, ms: skewMs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), node }) },
  { weight: 4, arbitrary: fc.constant({ do: 'minute' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'stop' as const }) },
)

interface Node {
  readonly cron: string
  readonly clock: SimulatedClock
  readonly timers: Timers
  readonly warnings: string[]
}

class Cluster {
  readonly #world = new ProcessWorld([ScheduleRecord])
  readonly #fates: Fate[]
  #nodes: Node[] = []
  /** What was late so far arrives. */
  #late: (() => void)[] = []
  #started = 0
  /** As the node has it whose first word came last to the log. */
  #cron: string | undefined

  constructor(fates: readonly Fate[]) {
    this.#fates = [...fates]
  }

  async take(given: Step): Promise<void> {
    const at = 'node' in given ? given.node % Math.max(1, this.#nodes.length) : 0
    switch (given.do) {
      case 'start':
        this.#start(CRONS[given.cron]!, given.skewMs)
        break
      case 'jump':
        this.#nodes[at]?.clock.jump(given.ms)
        break
      case 'close':
        this.#nodes[at]?.timers.close()
        this.#nodes.splice(at, 1)
        break
      case 'minute':
        return await this.minute()
      case 'stop':
        this.#world.ask(STREAM, 'stop', { from: this.#world.clock.now() })
    }
    await setImmediate()
  }

  async minute(): Promise<void> {
    for (const arrives of this.#late.splice(0)) arrives()
    this.#world.clock.advance(MINUTE)
    for (let s = 0; s < 61; s += 1) {
      for (const { clock } of this.#nodes) clock.advance(1_000)
      await setImmediate()
    }
  }

  #start(cron: string, ms: number): void {
    const clock = new SimulatedClock(this.#world.clock.now() + ms)
    const warnings: string[] = []
    const life = (this.#started += 1)
    let ids = 0
    let isKnown = false
    const apply = (command: SentCommand): SentOutcome => {
      const outcome = this.#world.send(command)
      if (!isKnown) this.#cron = cron
      isKnown = true
      expect(this.#state.defined?.cron).toBe(this.#cron)
      return outcome
    }
    const timers = new Timers({
      clock,
      // That of the world is right, and so is that of who decides.
      otherTime: () => this.#world.clock.now(),
      effects: {
        ask: async (command: SentCommand) => await this.#sent(() => apply(command)),
      } as unknown as ShardEffects,
      shards: 4,
      schedules: [scheduleAt(cron)],
      newId: () => deriveId(life, (ids += 1)),
      onWarning: (message) => void warnings.push(message),
    })
    timers.start()
    this.#nodes.push({ cron, clock, timers, warnings })
  }

  async #sent(apply: () => SentOutcome): Promise<SentOutcome> {
    const fate = this.#fates.shift() ?? 'fine'
    if (fate === 'lost') throw away()
    if (fate === 'late') await new Promise<void>((resolve) => this.#late.push(resolve))
    const outcome = apply()
    if (fate === 'unheard') throw away()
    return outcome
  }

  get #state(): { readonly defined?: Timetable; readonly next?: { readonly at: number }; readonly stop?: unknown } {
    return this.#world.state(STREAM) as never
  }

  /** Once all is well again. */
  async check(): Promise<void> {
    this.#fates.length = 0
    for (let minutes = 0; minutes < 4; minutes += 1) await this.minute()
    const { defined, next, stop } = this.#state
    expect(defined?.cron).toBe(this.#cron)
    for (const { cron, warnings } of this.#nodes) {
      const isTold = warnings.some((warning) => warning.includes(`cron '${this.#cron}'`))
      if (cron !== this.#cron) expect(isTold, cron).toBe(true)
    }
    if (this.#nodes.length > 0) {
      expect(stop).toBeUndefined()
      expect(next!.at - this.#world.clock.now()).toBeLessThanOrEqual(DAY + MINUTE)
    }
    for (const { timers } of this.#nodes) timers.close()
  }
}

function scheduleAt(cron: string) {
  const payload = { amount: 1 }
  return defineSchedule({
    name: 'nightly',
    cron,
    missed: 'once',
    aggregate: Account,
    id: '1',
    command: 'deposit',
    payload,
  })
}

test('a schedule is as the node has it that has started last, whatever the clocks say', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      fc.array(fc.constantFrom(...FATES), { maxLength: 12 }),
      async (steps, fates) => {
        const cluster = new Cluster(fates)
        for (const each of steps) await cluster.take(each)
        await cluster.check()
      },
    ),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 200), ...inTime() },
  )
})
