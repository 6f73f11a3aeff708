/**
 * Given what has happened to a process, when one thing more happens, then what it does: tried without a node, through the
 * process' own aggregate, so that the checks are the runtime's own (decision.ts).
 */
import type { Aggregate, CommandName, EmittedEvent, PayloadOf } from '../aggregate/aggregate.ts'
import { FIRE, OUTCOME, TELL } from '../aggregate/own-names.ts'
import { synchronous } from '../aggregate/synchronous.ts'
import { eventVersion } from '../aggregate/upcaster.ts'
import { idProblem, streamName, streamType } from '../log/stream.ts'
import { aggregateOf } from '../react/process-aggregate.ts'
import type { Fact, Told } from '../react/process-facts.ts'
import type { AnyProcess, Process, ProcessState, SentByProcess, TimerTime } from '../react/process.ts'
import {
  copyOf,
  decideOnce,
  decideTomorrow,
  initialState,
  outcomeDifference,
  replay,
  type Outcome,
  type Request,
} from './decision.ts'
import { describeEvent, describeNamed, describeValue, labelled } from './describe.ts'
import { difference } from './difference.ts'
import { attempt, failure, problemOf, unexpected } from './failure.ts'
import type { ExpectedRejection } from './given.ts'
import { SeededRandom } from './random.ts'

/** Something that happens to a process: made by `told`, `fired`, `accepted` or `refused`. */
export type Happening =
  | { readonly kind: 'told'; readonly stream: string; readonly event: EmittedEvent }
  | { readonly kind: 'fired'; readonly timer: string }
  | { readonly kind: 'outcome'; readonly stream: string; readonly name: string; readonly outcome: object }

/** A command that a process is expected to send, made by `command`. */
export interface ExpectedCommand {
  readonly stream: string
  readonly name: string
  readonly payload: unknown
}

/** All that a process does at once. What is left out it does not do. */
export interface ExpectedDecision<Timer extends string = string> {
  /** In their order. */
  readonly sends?: readonly ExpectedCommand[]
  readonly schedules?: { readonly [Name in Timer]?: TimerTime }
  readonly cancels?: readonly Timer[]
  readonly completes?: boolean
}

export interface GivenProcess<Timer extends string, State> {
  /**
   * Lets the process decide, twice: a handler that comes to something else the second time is not pure, and fails here.
   * `now` is the time of the decision; default 2026-01-01 at 00:00 UTC, and a second more for each thing that was given.
   */
  when(happening: Happening, circumstances?: { readonly now?: Date | number }): WhenProcess<Timer, State>
}

/** What came of it. Each of these fails the test, with a diff, where something else did. */
export interface WhenProcess<Timer extends string, State> extends ThenProcess<State> {
  /** Exactly this. Not for `await`: nothing here waits. */
  then(expected: ExpectedDecision<Timer>): ThenProcess<State>
  thenNothing(): ThenProcess<State>
  /** A handler throws, or asks for what cannot be; with this in what it says. */
  thenFails(message: string): ThenProcess<State>
}

export interface ThenProcess<State> {
  /** The state after it: the whole of it, or what a function finds right (it may assert by itself). */
  thenState(expected: State | ((state: State) => unknown)): ThenProcess<State>
}

const FIRST_MOMENT = Date.UTC(2026, 0, 1)
const SECOND_MS = 1_000

/** The process is told an event of this stream. */
export function told(stream: string, event: { readonly type: string; readonly data?: unknown }): Happening {
  return { kind: 'told', stream, event: { type: event.type, data: event.data } }
}

/** A timer that is pending fires. */
export function fired(timer: string): Happening {
  return { kind: 'fired', timer }
}

/** A command that the process has sent is accepted. */
export function accepted<A extends Aggregate>(aggregate: A, id: string, name: CommandName<A>): Happening {
  const outcome = { kind: 'accepted', version: 1, position: 1 }
  return { kind: 'outcome', stream: streamName(aggregate.type, id), name, outcome }
}

/** A rejection whose details are too large for its process to be told, and why. */
export interface RejectionWithoutDetails {
  readonly code: string
  readonly detailsLeftOut: string
}

/** A command that the process has sent is rejected (`rejected(…)`, or without its details), or fails with the code of an error. */
export function refused<A extends Aggregate>(
  aggregate: A,
  id: string,
  name: CommandName<A>,
  why: ExpectedRejection | RejectionWithoutDetails | string,
): Happening {
  const outcome = outcomeFor(why)
  return { kind: 'outcome', stream: streamName(aggregate.type, id), name, outcome }
}

function outcomeFor(why: ExpectedRejection | RejectionWithoutDetails | string): object {
  if (typeof why === 'string') return { kind: 'failed', code: why, message: `it failed with ${why}` }
  const { code } = why
  if ('detailsLeftOut' in why) return { kind: 'rejected', code, detailsLeftOut: why.detailsLeftOut }
  return { kind: 'rejected', code, details: why.details }
}

/** A command to expect. */
export function command<A extends Aggregate, Name extends CommandName<A>>(
  aggregate: A,
  id: string,
  name: Name,
  ...payload: undefined extends PayloadOf<A, Name> ? [payload?: PayloadOf<A, Name>] : [payload: PayloadOf<A, Name>]
): ExpectedCommand {
  return { stream: streamName(aggregate.type, id), name, payload: payload[0] }
}

/**
 * A process to which this has happened, in this order. It decides on each, so that what it has sent and scheduled is pending.
 *
 * @example givenProcess(Fulfilment, [told('order/1', OrderPlaced({ euros: 5 }))]).when(fired('payment-due')).then({ … })
 * @throws AssertionError where something of it cannot happen
 */
export function givenProcess<Timer extends string, State>(
  process: Process<string, any, any, Timer, State>,
  history: readonly Happening[] = [],
): GivenProcess<Timer, State> {
  const standing = new Standing(process)
  const setting = labelled('given ', [process.type, ...history.map(describeHappening)].join('\n'))
  attempt(setting, () => {
    for (const [i, happening] of history.entries()) {
      const outcome = standing.decide(happening, FIRST_MOMENT + i * SECOND_MS)
      if (outcome.kind !== 'accepted') throw new Error(`${describeHappening(happening)}: ${problemIn(outcome)}`)
      standing.take(outcome)
    }
  })
  const when: GivenProcess<Timer, State>['when'] = (happening, circumstances = {}) => {
    const now = Number(circumstances.now ?? FIRST_MOMENT + history.length * SECOND_MS)
    const scene = `${setting}\n${labelled('when  ', describeHappening(happening))}`
    const outcome = attempt(scene, () => standing.decide(happening, now))
    return createWhen({ scene, standing, outcome, now }) as WhenProcess<Timer, State>
  }
  return { when }
}

interface Scene {
  readonly scene: string
  readonly standing: Standing
  readonly outcome: Outcome
  readonly now: number
}

// Whoever has a `then` is taken for a promise, so `await` is answered with what to do instead.
/* oxlint-disable unicorn/no-thenable */
function createWhen(scene: Scene): unknown {
  const rest = { thenState: (expected: unknown): unknown => (checkState(scene, expected), rest) }
  return {
    ...rest,
    then(expected: unknown): unknown {
      if (typeof expected === 'function') {
        throw new Error('given … when … then … waits for nothing: leave out the await, and say what you expect')
      }
      checkDecision(scene, expected as ExpectedDecision)
      return rest
    },
    thenNothing: (): unknown => (checkDecision(scene, {}), rest),
    thenFails: (message: string): unknown => (checkFailure(scene, message), rest),
  }
}
/* oxlint-enable unicorn/no-thenable */

/** One process, as far as it has come. */
class Standing {
  readonly #process: AnyProcess
  readonly #aggregate: Aggregate
  #state: unknown
  #key: string | undefined
  #told = 0
  readonly #versions = new Map<string, number>()

  constructor(process: AnyProcess) {
    this.#process = process
    this.#aggregate = aggregateOf(process)
    this.#state = initialState(this.#aggregate)
  }

  get state(): unknown {
    return (this.#state as ProcessState).state
  }

  take(outcome: Outcome & { readonly kind: 'accepted' }): void {
    this.#state = replay(this.#aggregate, this.#state, outcome.events)
  }

  decide(happening: Happening, now: number): Outcome {
    const { name, payload } = this.#commandFor(happening, now)
    const request: Request = {
      name,
      payload: copyOf(payload),
      id: this.#key ?? 'test',
      commandId: testId(0),
      metadata: {},
      now,
      draws: () => {
        const random = new SeededRandom(1)
        let last = 0
        return { newId: () => testId((last += 1)), random: () => random.next() / 2 ** 32 }
      },
    }
    const outcome = decideOnce(this.#aggregate, this.#state, request)
    const again = outcomeDifference(outcome, decideTomorrow(this.#aggregate, this.#state, request))
    if (again !== undefined) throw new Error(`it is not pure: it came to\n${again}\nfor the same`)
    return outcome
  }

  #commandFor(happening: Happening, now: number): Pick<Request, 'name' | 'payload'> {
    const { sends, timers } = this.#state as ProcessState
    switch (happening.kind) {
      case 'told':
        return { name: TELL, payload: this.#toldAs(happening, now) }
      case 'fired': {
        const timer = timers.find(({ id }) => id === happening.timer)
        if (timer === undefined) throw new Error(`the timer '${happening.timer}' is not pending`)
        return { name: FIRE, payload: { id: timer.id, token: timer.token } }
      }
      case 'outcome': {
        const { stream, name, outcome } = happening
        const sent = sends.find((pending: SentByProcess) => pending.stream === stream && pending.name === name)
        if (sent === undefined) throw new Error(`it has not sent '${name}' to ${stream}, or knows what became of it`)
        return { name: OUTCOME, payload: { ...sent, ...outcome } }
      }
    }
  }

  #toldAs({ stream, event }: Happening & { readonly kind: 'told' }, now: number): Told {
    const { type, from, correlate } = this.#process
    const source = (from as readonly Aggregate[]).find((aggregate) => aggregate.type === streamType(stream))
    const run = correlate[event.type]
    if (source === undefined || run === undefined) throw new Error(`${type} is not told '${event.type}' of ${stream}`)
    const version = (this.#versions.get(stream) ?? 0) + 1
    const position = this.#told + 1
    const id = testId(position)
    const metadata = { commandId: id, correlationId: id, causationId: id }
    const known = { ...event, id, stream, version, position, metadata }
    const key = synchronous(run({ ...known, time: new Date(now) }))
    const problem = key === undefined ? 'correlate gives it no key' : idProblem(key)
    if (problem !== undefined) throw new Error(`'${event.type}' of ${stream} belongs to no process: ${problem}`)
    this.#key ??= key as string
    if (this.#key !== key) {
      throw new Error(
        `'${event.type}' of ${stream} belongs to ${type}/${key as string}, and not to ${type}/${this.#key}`,
      )
    }
    this.#versions.set(stream, version)
    this.#told = position
    return { ...known, shape: eventVersion(source, event.type), time: now }
  }
}

function checkDecision({ scene, outcome, now }: Scene, expected: ExpectedDecision): void {
  const wanted = {
    sends: (expected.sends ?? []).map(({ stream, name, payload }) => ({ stream, name, payload })),
    schedules: Object.entries(expected.schedules ?? {}).map(([id, when]) => ({ id, at: timeOf(when!, now) })),
    cancels: expected.cancels ?? [],
    completes: expected.completes ?? false,
  }
  const happened = outcome.kind === 'accepted' ? decisionOf(outcome.events as readonly Fact[]) : undefined
  if (happened !== undefined && difference(wanted, happened) === undefined) return
  throw unexpected(scene, {
    expected: describeDecision(wanted),
    happened: happened === undefined ? problemIn(outcome) : describeDecision(happened),
  })
}

type Decision = ReturnType<typeof decisionOf>

function decisionOf(facts: readonly Fact[]) {
  return {
    sends: facts.flatMap(({ type, data }) =>
      type === '$sent' ? [{ stream: data.stream, name: data.name, payload: data.payload }] : [],
    ),
    schedules: facts.flatMap(({ type, data }) => (type === '$timerSet' ? [{ id: data.id, at: data.at }] : [])),
    cancels: facts.flatMap(({ type, data }) => (type === '$timerCancelled' ? [data.id] : [])) as readonly string[],
    completes: facts.some(({ type }) => type === '$completed'),
  }
}

function describeDecision({ sends, schedules, cancels, completes }: Decision): string {
  const lines = [
    ...sends.map(({ stream, name, payload }) => describeNamed(`sends ${stream} ${name}`, payload)),
    ...schedules.map(({ id, at }) => `schedules ${id} at ${new Date(at).toISOString()}`),
    ...cancels.map((id) => `cancels ${id}`),
    ...(completes ? ['completes'] : []),
  ]
  return lines.length === 0 ? 'nothing' : lines.join('\n')
}

function checkState({ scene, standing, outcome }: Scene, expected: unknown): void {
  if (outcome.kind === 'accepted') standing.take(outcome)
  const { state } = standing
  if (typeof expected === 'function') {
    const isRight: unknown = (expected as (state: unknown) => unknown)(state)
    if (isRight instanceof Promise) throw failure('thenState waits for nothing: its function must not be async')
    if (isRight !== false) return
    throw unexpected(scene, { expected: `a state for which ${String(expected)}`, happened: describeValue(state) })
  }
  if (difference(expected, state) === undefined) return
  throw unexpected(scene, { expected: describeValue(expected), happened: describeValue(state) })
}

function checkFailure({ scene, outcome }: Scene, message: string): void {
  if (outcome.kind === 'failed' && problemIn(outcome).includes(message)) return
  const happened =
    outcome.kind === 'accepted' ? describeDecision(decisionOf(outcome.events as readonly Fact[])) : problemIn(outcome)
  throw unexpected(scene, { expected: `failed: ${message}`, happened })
}

function problemIn(outcome: Outcome): string {
  return outcome.kind === 'failed' ? `failed: ${problemOf(outcome.error)}` : outcome.kind
}

function describeHappening(happening: Happening): string {
  switch (happening.kind) {
    case 'told':
      return `told ${happening.stream} ${describeEvent(happening.event)}`
    case 'fired':
      return `fired ${happening.timer}`
    case 'outcome':
      return describeNamed(`${happening.name} to ${happening.stream}`, happening.outcome)
  }
}

function timeOf(when: TimerTime, now: number): number {
  return Math.ceil('at' in when ? Number(when.at) : now + when.inMs)
}

/** A UUIDv7 that can be told from others at a glance. */
function testId(number: number): string {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
}
