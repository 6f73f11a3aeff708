/**
 * Timers of a shard over simulated time: their facts in streams, lives that run wheel and lane, which crash between any two
 * steps or after one, are taken over from, or go on beside their successor; and a clock that is set. Aggregates are decided
 * by the product's own code.
 */
import { v7 } from 'uuid'
import { initialState, decide, DecisionContext } from '../../src/actor/decide.ts'
import { tooLarge } from '../../src/actor/error.ts'
import type { Aggregate } from '../../src/aggregate/aggregate.ts'
import { plainBytes } from '../../src/aggregate/plain.ts'
import type { Cancel, Clock } from '../../src/log/clock.ts'
import { logCorrupt } from '../../src/log/error.ts'
import { deriveId, formatId, IdSource, parseId } from '../../src/log/identity.ts'
import { streamType } from '../../src/log/stream.ts'
import { Bell } from '../../src/read/bell.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import type {
  Effects,
  LoadedEvent,
  LoadRange,
  SentCommand,
  SentOutcome,
  SentQuestion,
} from '../../src/react/effects.ts'
import { Slots } from '../../src/react/slots.ts'
import { timersConsumer } from '../../src/react/timer-consumers.ts'
import { TimerRecord } from '../../src/react/timer.ts'
import { DueRecord, TimersRecord } from '../../src/react/timer-records.ts'
import { TimerWheel } from '../../src/react/timer-wheel.ts'
import { Kernel } from '../../src/testing/kernel.ts'

/** Who may set timers. */
const OWNERS = [TimerRecord.type, '$other']
const AGGREGATES: ReadonlyMap<string, Aggregate> = new Map([
  ...[DueRecord, TimersRecord].map((aggregate): [string, Aggregate] => [aggregate.type, aggregate]),
  ...OWNERS.map((type): [string, Aggregate] => [type, TimerRecord]),
])
/** The hour, and the day, are soon over. */
const START = Date.UTC(2026, 0, 1, 23, 54)
const PAGE = 3
const LANE_MS = 20
const SLOW_MS = 2_500

interface Fact extends FeedEvent {
  readonly data: any
}

/** It arrives late, or not at all, or its answer does not. */
export type Fault = 'fine' | 'slow' | 'lost' | 'unheard'

export class TimerWorld {
  readonly kernel = new Kernel()
  /** The machine's clock is ahead of the kernel's by so much. */
  skewMs = START
  readonly #facts: Fact[] = []
  readonly #streams = new Map<string, { state: unknown; readonly facts: Fact[] }>()
  readonly #outcomes = new Map<string, { readonly payload: string; readonly outcome: SentOutcome }>()
  /** All facts up to this one are handled. */
  #place = 0
  readonly faults: Fault[] = []
  /** Tells that a stream refuses all. */
  isBroken: (stream: string) => boolean = () => false
  /** Which types the config has. */
  knows: (type: string) => boolean = () => true
  /** So many steps were taken by lives. */
  steps = 0
  /** The life that takes this step crashes: before it, or after it and before it hears of it. */
  crashAt: { readonly step: number; readonly when: 'before' | 'after' } | undefined
  readonly warnings: string[] = []
  /** Whoever set a timer is told that it is due. */
  onFire: () => void = () => undefined
  /** So many pages were read. */
  pages = 0
  /** So many pages of streams were read. */
  loads = 0
  /** Rings when there are more facts. */
  readonly news = new Bell()
  /** What was fired before its time, by the clock of whoever did. */
  readonly early: string[] = []
  readonly heldMax: number
  commandBytesMax = 1_000_000
  laneBeginsAfterMs = 0
  /** So many lives there were: each is in an epoch of its own. */
  epoch = 0
  life: Life

  constructor({ heldMax = 64 }: { readonly heldMax?: number } = {}) {
    this.heldMax = heldMax
    this.life = new Life(this)
  }

  get now(): number {
    return this.kernel.now + this.skewMs
  }

  async wait(ms: number): Promise<void> {
    await this.kernel.run({ untilMs: this.kernel.now + ms })
  }

  crash(): void {
    this.life.crash()
    this.life = new Life(this)
  }

  handOver(): void {
    this.life.close()
    this.life = new Life(this)
  }

  /** The next one begins, in the next epoch, and this one goes on for a while: what it sends is refused from there on. */
  haunt(ms: number): void {
    const former = this.life
    this.kernel.after(ms, () => former.close())
    this.life = new Life(this)
  }

  set(timer: number, inMs: number, owner: string = TimerRecord.type): void {
    const at = Math.max(0, this.now + inMs)
    const command = { stream: 'nobody/1', name: 'nothing', payload: undefined }
    this.apply({ ...this.#own(timer, 'set', { id: String(timer), at, command }), stream: `${owner}/test:${timer}` })
  }

  cancel(timer: number): void {
    this.apply(this.#own(timer, 'cancel', undefined))
  }

  #own(timer: number, name: string, payload: unknown): SentCommand {
    const id = v7()
    return {
      stream: `$timer/test:${timer}`,
      name,
      payload,
      commandId: id,
      correlationId: id,
      causationId: id,
      after: 0,
    }
  }

  /** Tokens of the timers that are set, with their times. */
  get pending(): ReadonlyMap<string, number> {
    const pending = new Map<string, number>()
    for (const [name, { facts }] of this.#streams) {
      if (!OWNERS.includes(streamType(name))) continue
      const last = facts.at(-1)
      if (last?.type === 'TimerSet') pending.set(last.data.token, last.data.at)
    }
    return pending
  }

  get fired(): readonly string[] {
    return this.#facts.filter(({ type }) => type === 'TimerFired').map(({ data }) => data.token as string)
  }

  /** By how much each was late. */
  get firedAt(): readonly { readonly token: string; readonly lateMs: number }[] {
    const due = new Map<string, number>(
      this.#facts.flatMap(({ type, data }) => (type === 'TimerSet' ? [[data.token, data.at]] : [])),
    )
    const fired = this.#facts.filter(({ type }) => type === 'TimerFired')
    return fired.map(({ data, time }) => ({ token: data.token, lateMs: time.getTime() - due.get(data.token)! }))
  }

  /** By name. */
  openBuckets(stream = '$timers/0-all'): object {
    return (this.#streams.get(stream)?.state as { readonly open: object } | undefined)?.open ?? {}
  }

  count(type: string): number {
    return this.#facts.filter((fact) => fact.type === type).length
  }

  factsBehind(place: number): readonly Fact[] {
    return this.#facts.slice(place)
  }

  get lastPosition(): number {
    return this.#facts.length
  }

  get place(): number {
    return this.#place
  }

  /** @throws Error where somebody else has moved it */
  advance(from: number, to: number): void {
    if (this.#place !== from) throw new Error('the place is another')
    this.#place = to
  }

  load(stream: string, from: number): readonly Fact[] {
    this.loads += 1
    if (this.isBroken(stream)) throw logCorrupt('000001.log', 0, `${stream} is broken`)
    this.pages += 1
    return this.#streams.get(stream)?.facts.slice(from - 1, from - 1 + PAGE) ?? []
  }

  apply(command: SentCommand): SentOutcome {
    const { stream, commandId, payload } = command
    if (this.isBroken(stream)) throw logCorrupt('000001.log', 0, `${stream} is broken`)
    const bytes = plainBytes(payload)
    if (bytes > this.commandBytesMax) throw tooLarge(`'${command.name}' on ${stream}`, bytes, this.commandBytesMax)
    const key = `${stream} ${commandId}`
    const text = JSON.stringify([command.name, payload])
    const known = this.#outcomes.get(key)
    if (known !== undefined) {
      if (known.payload !== text) throw new Error(`${commandId} stands for another command of ${stream}`)
      return known.outcome
    }
    const outcome = this.#decide(command)
    this.#outcomes.set(key, { payload: text, outcome })
    return outcome
  }

  #decide({ stream: name, name: command, payload, commandId, correlationId, causationId }: SentCommand): SentOutcome {
    const aggregate = AGGREGATES.get(streamType(name))!
    const stream = this.#streams.get(name) ?? { state: initialState(aggregate), facts: [] }
    const context = new DecisionContext(aggregate, new IdSource(this.clock, { fill: (bytes) => bytes.fill(7) }))
    const message = {
      kind: 'command' as const,
      request: 0,
      epoch: 0,
      stream: name,
      name: command,
      payload,
      commandId: parseId(commandId),
      payloadHash: 0,
      isFresh: true,
      isAgain: false,
      expectedVersion: -1,
      deadline: 0,
      after: 0,
      since: 0,
      sentIn: undefined,
      waitsForReactors: false,
      metadata: undefined,
    }
    context.enter(message, this.now)
    const decided = decide(aggregate, stream.state, { message, context, limits: { eventsPerCommandMax: 1_000 } })
    if (decided.kind === 'rejected') {
      const { code, details } = decided.rejection
      return { kind: 'rejected', code, details }
    }
    this.#streams.set(name, stream)
    stream.state = decided.state
    for (const event of decided.events) {
      const position = this.#facts.length + 1
      const fact = {
        ...(structuredClone(event) as Pick<Fact, 'type' | 'data'>),
        id: deriveId('fact', position),
        stream: name,
        version: stream.facts.length + 1,
        position,
        shard: 0,
        seq: position,
        time: new Date(this.now),
        metadata: { commandId: formatId(parseId(commandId)), correlationId, causationId },
      }
      stream.facts.push(fact)
      this.#facts.push(fact)
    }
    this.news.ring()
    return { kind: 'accepted', version: stream.facts.length, position: this.#facts.length }
  }

  get clock(): Clock {
    return clockOf(this, () => false)
  }
}

function clockOf(world: TimerWorld, isDead: () => boolean): Clock {
  const after = (ms: number, callback: () => void): Cancel => world.kernel.after(ms, () => isDead() || callback())
  return {
    now: () => world.now,
    monotonic: () => world.kernel.now,
    after,
    afterAlive: after,
    defer: (callback) => void after(0, callback),
    yield: () => new Promise((resolve) => after(0, resolve)),
  }
}

/** A node that serves the shard, for a while. */
class Life implements Effects {
  readonly #world: TimerWorld
  readonly #wheel: TimerWheel
  readonly #ending = new AbortController()
  readonly #epoch: number
  /** So many commands it has sent. */
  asked = 0
  #isDead = false

  constructor(world: TimerWorld) {
    this.#world = world
    this.#epoch = world.epoch += 1
    const clock = clockOf(world, () => this.#isDead)
    this.#wheel = new TimerWheel({
      shard: 0,
      clock,
      effects: this,
      newId: () => v7(),
      slots: new Slots(4),
      heldMax: world.heldMax,
      onWarning: (message) => void world.warnings.push(message),
      onOwnerless: (type) => void world.warnings.push(`nobody has ${type}`),
    })
    void this.#lane(clock)
  }

  crash(): void {
    this.#isDead = true
  }

  close(): void {
    this.#ending.abort(new Error('closed'))
    this.#wheel.close()
  }

  get held(): number {
    return this.#wheel.held
  }

  get trouble(): string | undefined {
    return this.#wheel.trouble
  }

  async #lane(clock: Clock): Promise<void> {
    const consumer = timersConsumer((_shard, ...placed) => this.#wheel.place(...placed))
    const { does } = consumer
    if (!('many' in does)) throw new Error('it takes many')
    // It may begin later than the wheel, and its predecessor come further meanwhile.
    await new Promise<void>((resolve) => clock.after(this.#world.laneBeginsAfterMs, resolve))
    let place = this.#world.place
    while (!this.#ending.signal.aborted && !this.#isDead) {
      const facts = this.#world.factsBehind(place)
      const wanted = facts.filter((fact) => consumer.isWanted(fact)).slice(0, 10)
      try {
        if (wanted.length > 0) await does.many(wanted, { shard: 0, signal: this.#ending.signal, effects: this })
        const to = wanted.length < 10 ? place + facts.length : wanted.at(-1)!.position
        await this.#step(() => this.#inEpoch().advance(place, to))
        place = to
      } catch {
        place = this.#world.place
      }
      if (place === this.#world.lastPosition) await this.#world.news.rung()
      await new Promise<void>((resolve) => clock.after(LANE_MS, resolve))
    }
  }

  /** Something that takes its time, on the way there and on the way back, either of which may be the last. */
  async #step<Result>(work: () => Result): Promise<Result> {
    const world = this.#world
    const sleep = (ms = 1 + (world.steps % 3)): Promise<void> =>
      new Promise((resolve) => world.kernel.after(ms, () => this.#isDead || resolve()))
    const fault = world.faults.shift()
    await sleep(fault === 'slow' ? SLOW_MS : undefined)
    world.steps += 1
    const crash = world.crashAt?.step === world.steps ? world.crashAt.when : undefined
    const never = new Promise<never>(() => undefined)
    if (crash === 'before') {
      world.crash()
      return await never
    }
    if (fault === 'lost') throw new Error('lost on the way')
    const result = work()
    if (crash === 'after') {
      world.crash()
      return await never
    }
    await sleep()
    if (fault === 'unheard') throw new Error('the answer was lost')
    return result
  }

  /** As who decides what consumers send has it (actor/senders.ts). @throws where there is a newer one */
  #inEpoch(): TimerWorld {
    if (this.#epoch < this.#world.epoch) throw new Error('there is a newer epoch')
    return this.#world
  }

  async ask(command: SentCommand): Promise<SentOutcome> {
    this.asked += 1
    if (command.name === 'fire') {
      this.#world.onFire()
      const { token } = command.payload as { readonly token: string }
      const at = this.#world.pending.get(token)
      if (at !== undefined && at > this.#world.now) this.#world.early.push(token)
    }
    return await this.#step(() => this.#inEpoch().apply(structuredClone(command)))
  }

  async query({ stream }: SentQuestion): Promise<unknown> {
    return await this.#step(() => this.#world.openBuckets(stream))
  }

  find(): Promise<never> {
    throw new Error('nothing is looked for')
  }

  append(): Promise<never> {
    throw new Error('nothing is appended')
  }

  async *load(
    stream: string,
    { from = 1, limit = Number.POSITIVE_INFINITY }: LoadRange = {},
  ): AsyncGenerator<LoadedEvent> {
    for (let next = from; next < from + limit;) {
      const page = await this.#step(() => this.#world.load(stream, next))
      if (page.length === 0) return
      for (const fact of page.slice(0, from + limit - next)) yield fact
      next += page.length
    }
  }

  inShard(shard: number, category: `$${string}`, id: string): string {
    return `${category}/${shard}-${id}`
  }

  knows(type: string): boolean {
    return this.#world.knows(type)
  }

  get commandBytesMax(): number {
    return this.#world.commandBytesMax
  }

  get ownerless(): ReadonlyMap<string, number> {
    return this.#wheel.ownerless
  }
}
