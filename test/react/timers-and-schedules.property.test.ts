/**
 * What a user sees of timers and schedules, of a whole node over virtual time: timers are set, replaced and cancelled, at any
 * time there is; the node is restarted, after a while, with and without its schedule and with another one. Held against a model
 * that knows nothing of buckets.
 */
import { Cron } from 'croner'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineReactor,
  defineSchedule,
  type ClusterConfig,
  type Schedule,
} from '../../src/index.ts'
import { startVirtualNode, type VirtualNode } from '../../src/testing/index.ts'
import { inTime } from '../in-time.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const TIME_MAX = 8.64e15
/** So long before and after a timer is due it is nobody's fault whether it fires. */
const CLOSE_MS = 5 * SECOND

type When = { readonly at: number } | { readonly inMs: number }

interface Wish {
  readonly timer: string
  /** Undefined where it is cancelled. */
  readonly when: When | undefined
  /** Which one this is. */
  readonly n: number
}

const Wishes = defineAggregate({
  type: 'wishes',
  initialState: () => 0,
  events: { Wished: (count, _wish: Wish) => count + 1 },
  commands: { wish: (_count, wish: Wish, { emit }) => emit.Wished(wish) },
})

interface Noted {
  readonly what: number
  readonly at: number
}

const Notes = defineAggregate({
  type: 'notes',
  initialState: (): readonly Noted[] => [],
  events: { Noted: (notes, noted: Noted) => [...notes, noted] },
  commands: { note: (_notes, { what }: { readonly what: number }, { emit, now }) => emit.Noted({ what, at: now }) },
})

const wishes = defineReactor({
  name: 'wishes',
  from: [Wishes],
  startAt: 'beginning',
  retries: 0,
  on: {
    Wished: async ({ data: { timer, when, n } }, { schedule, cancel }) => {
      if (when === undefined) await cancel(timer)
      else await schedule(timer, when, Notes, 'timers', 'note', { what: n })
    },
  },
})

type Missed = Schedule['missed']

interface Plan {
  readonly cron: string
  readonly missed: Missed
}

function configOf(plan: Plan | undefined): ClusterConfig {
  const schedules = plan && [
    defineSchedule({
      ...plan,
      name: 'schedule',
      aggregate: Notes,
      id: 'schedule',
      command: 'note',
      payload: ({ time }) => ({ what: time.getTime() }),
    }),
  ]
  return defineCluster({
    name: 'virtual',
    aggregates: [Wishes, Notes],
    reactors: [wishes],
    schedules: schedules ?? [],
    dataDir: 'nowhere',
    onWarning: () => undefined,
  })
}

type Step =
  | { readonly do: 'set'; readonly timer: string; readonly when: When }
  | { readonly do: 'cancel'; readonly timer: string }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'restart'; readonly downMs: number }
  | { readonly do: 'deploy'; readonly downMs: number; readonly plan: Plan | undefined }

const timer = fc.constantFrom('a', 'ü/ß', 'x'.repeat(300))
const inMs = fc.oneof(
  fc.nat(2 * MINUTE),
  fc.nat(2 * HOUR),
  fc.nat(3 * DAY),
  fc.integer({ min: -DAY, max: 0 }),
  fc.constantFrom(TIME_MAX / 2, 2 ** 53, -(2 ** 53), 0.5),
)
const at = fc.constantFrom(0, -1, 1, Date.UTC(2026, 0, 1), TIME_MAX, 2 ** 53, -TIME_MAX)
const when = fc.oneof(
  { weight: 6, arbitrary: fc.record({ inMs }) },
  { weight: 1, arbitrary: fc.record({ at }) },
) as fc.Arbitrary<When>
const plan = fc.record({
  cron: fc.constantFrom('*/3 * * * *', '*/5 * * * *', '0,7 * * * *', '30 * * * *', '0 3 * * *', '*/50 * * * * *'),
  missed: fc.constantFrom<Missed>('skip', 'once', 'all'),
})
const downMs = fc.oneof(fc.constant(0), fc.nat(2 * MINUTE), fc.nat(30 * MINUTE), fc.nat(4 * DAY))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('set' as const), timer, when }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('cancel' as const), timer }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.oneof(fc.nat(MINUTE), fc.nat(20 * MINUTE)) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const), downMs }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('deploy' as const), downMs, plan: fc.option(plan, { nil: undefined }) }),
  },
)

/** A timer as somebody set it. */
interface Set {
  readonly timer: string
  readonly setAt: number
  readonly due: number
  /** When it was replaced or cancelled, if it was. */
  endedAt?: number
}

class Model {
  readonly node: VirtualNode
  readonly #sets: Set[] = []
  #refused = 0
  /** Since when this is the schedule, and the node runs. */
  #plan: { readonly plan: Plan | undefined; readonly since: number }
  #downs: { readonly from: number; readonly to: number }[] = []

  constructor(node: VirtualNode, first: Plan | undefined) {
    this.node = node
    this.#plan = { plan: first, since: this.now }
  }

  get now(): number {
    return this.node.now.getTime()
  }

  async take(given: Step): Promise<void> {
    switch (given.do) {
      case 'set':
        return await this.#set(given.timer, given.when)
      case 'cancel':
        await this.#wish({ timer: given.timer, when: undefined, n: -1 })
        return this.#end(given.timer)
      case 'pass':
        return await this.node.pass(given.ms)
      case 'restart':
        return await this.#restart(given.downMs)
      case 'deploy': {
        await this.#restart(given.downMs, configOf(given.plan))
        this.#plan = { plan: given.plan, since: this.now }
      }
    }
  }

  async #set(name: string, given: When): Promise<void> {
    const setAt = this.now
    const due = 'at' in given ? given.at : setAt + given.inMs
    if (due > TIME_MAX) {
      // It is refused, and parked: of a stream of its own, so that it holds up no other.
      this.#refused += 1
      await this.node.ref(Wishes, `refused-${this.#refused}`).ask('wish', { timer: name, when: given, n: -1 })
      return
    }
    await this.#wish({ timer: name, when: given, n: this.#sets.length })
    this.#end(name)
    this.#sets.push({ timer: name, setAt, due })
  }

  async #wish(wish: Wish): Promise<void> {
    await this.node.ref(Wishes, '1').ask('wish', wish)
    await this.node.pass(100)
  }

  #end(name: string): void {
    const last = this.#sets.findLast((set) => set.timer === name)
    if (last !== undefined) last.endedAt ??= this.now
  }

  async #restart(ms: number, config?: ClusterConfig): Promise<void> {
    const from = this.now
    await this.node.restart({ downMs: ms, ...(config && { config }) })
    this.#downs.push({ from, to: this.now })
  }

  async check(): Promise<void> {
    await this.node.pass(CLOSE_MS)
    await this.#checkTimers()
    await this.#checkSchedule()
  }

  async #checkTimers(): Promise<void> {
    const notes = await this.node.ref(Notes, 'timers').state()
    expect(new Set(notes.map(({ what }) => what)).size, 'a timer fires once').toBe(notes.length)
    for (const [n, { setAt, due, endedAt = Number.POSITIVE_INFINITY }] of this.#sets.entries()) {
      const note = notes.find(({ what }) => what === n)
      if (note !== undefined) {
        expect(note.at, `timer ${n} is not early`).toBeGreaterThanOrEqual(due)
        expect(note.at, `timer ${n} fires before it ends`).toBeLessThan(endedAt + CLOSE_MS)
        // One that is set for a time that has passed is due at once.
        const awaitedFrom = Math.max(due, setAt)
        const isAwaited = !this.#downs.some(({ from, to }) => awaitedFrom <= to && note.at >= from)
        if (isAwaited) expect(note.at - awaitedFrom, `timer ${n} is late`).toBeLessThan(CLOSE_MS)
      } else if (due <= this.now - CLOSE_MS) {
        expect(endedAt, `timer ${n} has fired`).toBeLessThan(due + CLOSE_MS)
      }
    }
  }

  async #checkSchedule(): Promise<void> {
    const notes = await this.node.ref(Notes, 'schedule').state()
    const times = notes.map(({ what }) => what)
    expect(times, 'runs come in order, each once').toEqual([...new Set(times)].toSorted((a, b) => a - b))
    for (const { what, at: ranAt } of notes) expect(ranAt, 'no run is early').toBeGreaterThanOrEqual(what)
    const { plan: current, since } = this.#plan
    if (current === undefined) return
    if (current.missed === 'skip') {
      const late = notes.filter(({ what, at: ranAt }) => what > since && ranAt - what > MINUTE + CLOSE_MS)
      expect(late, 'what was missed is skipped').toEqual([])
    }
    const own = timesOf(current.cron, since + MINUTE, this.now - CLOSE_MS)
    const ran = times.filter((time) => time > since + MINUTE)
    const isWhole = current.missed === 'all' || !this.#downs.some(({ to }) => to > since)
    if (isWhole) expect(ran.slice(0, own.length), 'each time is run').toEqual(own)
    else {
      const lastRestart = this.#downs.at(-1)!.to
      const later = own.filter((time) => time > lastRestart)
      expect(ran.filter((time) => time > lastRestart).slice(0, later.length)).toEqual(later)
      const missed = own.filter((time) => time <= lastRestart)
      if (current.missed === 'once' && missed.length > 0) expect(ran).toContain(missed.at(-1))
    }
  }
}

function timesOf(cron: string, from: number, to: number): number[] {
  const times: number[] = []
  const parsed = new Cron(cron, { timezone: 'UTC', paused: true })
  for (let next = parsed.nextRun(new Date(from)); next !== null && next.getTime() <= to; next = parsed.nextRun(next)) {
    times.push(next.getTime())
  }
  return times
}

// Most plans take a moment, and one in some hundreds, of many days, a hundred times as long.
const MODE = { timeout: 240_000 }

test(
  'timers fire once, at their time and no more once they have ended, and schedules run at each of their times',
  MODE,
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.option(plan, { nil: undefined }),
        fc.array(step, { minLength: 1, maxLength: 25 }),
        async (first, steps) => {
          const node = await startVirtualNode(configOf(first), { now: new Date('2026-01-01T00:00:10Z') })
          const model = new Model(node, first)
          for (const each of steps) {
            await model.take(each)
            await model.check()
          }
          await node.close()
        },
      ),
      { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 20), ...inTime() },
    )
  },
)
