/**
 * Given events, when a command, then what follows: one decision of an aggregate, tried without a node. Everything is
 * typed by the definition, and the checks are the runtime's own (decision.ts).
 */
import type {
  Aggregate,
  CommandName,
  Emit,
  EmittedEvent,
  EventData,
  EventName,
  EventsOf,
  PayloadOf,
  Rejection,
  RejectionsOf,
  StateOf,
} from '../aggregate/aggregate.ts'
import { PenholdError } from '../aggregate/error.ts'
import type { Arguments } from '../cluster/ref.ts'
import {
  checkedHistory,
  copyOf,
  decideOnce,
  decideTomorrow,
  describeOutcome,
  initialState,
  outcomeDifference,
  payloadOf,
  plainProblem,
  replay,
  type Draws,
  type Outcome,
  type Request,
} from './decision.ts'
import { describeEvent, describeNamed, describeValue, labelled } from './describe.ts'
import { difference } from './difference.ts'
import { attempt, failure, unexpected } from './failure.ts'
import { SeededRandom } from './random.ts'

type EventForm<Type, Data> = undefined extends Data
  ? { readonly type: Type; readonly data?: Data }
  : { readonly type: Type; readonly data: Data }

/** An event of the aggregate as a test writes it: `{ type, data }`, or made by `eventsOf`. */
export type GivenEvent<A extends Aggregate> = {
  [K in EventName<A>]: EventForm<K, EventData<A['events'], K>>
}[EventName<A>]

/** A rejection that a test expects, made by `rejected`. */
export interface ExpectedRejection<Code extends string = string, Details = unknown> {
  readonly kind: 'rejection'
  readonly code: Code
  /** Absent where any will do. */
  readonly details?: Details
}

type EventFormOf<E> = E extends EmittedEvent<infer Type, infer Data> ? EventForm<Type, Data> : never
type RejectionFormOf<R> = R extends Rejection<infer Code, infer Details> ? ExpectedRejection<Code, Details> : never

/** An event that a command can come to. */
export type ExpectedEvent<A extends Aggregate, K extends CommandName<A>> = EventFormOf<EventsOf<A, K>>

/** What a command can come to: one of its events, a list of them, or one of its rejections. */
export type Expected<A extends Aggregate, K extends CommandName<A>> =
  ExpectedEvent<A, K> | readonly ExpectedEvent<A, K>[] | RejectionFormOf<RejectionsOf<A, K>>

/** What a decision depends on beside state and payload. All of it has a default, the same in every run. */
export interface Circumstances {
  /** The aggregate's id. Default `test`. */
  readonly id?: string
  readonly commandId?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  /** The time of the decision, as a date or in milliseconds. Default 2026-01-01 at 00:00 UTC. */
  readonly now?: Date | number
  /** What `newId` gives, one after the other. Default `00000000-0000-7000-8000-000000000001`, `…2` and so on. */
  readonly newIds?: readonly string[]
  /** What `random` gives, one after the other. Default: a row from a fixed seed. */
  readonly random?: readonly number[]
}

export interface Given<A extends Aggregate> {
  /**
   * Lets the aggregate decide on a command, twice: a handler that comes to something else the second time is not pure,
   * and fails here.
   */
  when<K extends CommandName<A>>(name: K, ...args: Arguments<PayloadOf<A, K>, Circumstances>): When<A, K>
}

/** What came of a command. Each of these fails the test, with a diff, where something else did. */
export interface When<A extends Aggregate, K extends CommandName<A>> extends Then<A> {
  /** Exactly these events, or this rejection. Not for `await`: nothing here waits. */
  then(expected: Expected<A, K>): Then<A>
  /** Accepted without an event. */
  thenNothing(): Then<A>
  /** Not a decision but an error: `BadPayload` where the schema refuses it, `HandlerFailed` where the handler is wrong. */
  thenFails(code: 'BadPayload' | 'HandlerFailed' | 'TooLarge'): Then<A>
}

/** The rest of what came of it. Without a `then`, so that a test may return it. */
export interface Then<A extends Aggregate> {
  /** The state after the command: the whole of it, or what a function finds right (it may assert by itself). */
  thenState(expected: StateOf<A> | ((state: StateOf<A>) => unknown)): Then<A>
}

const FIRST_MOMENT = Date.UTC(2026, 0, 1)
const CIRCUMSTANCES: readonly string[] = ['id', 'commandId', 'metadata', 'now', 'newIds', 'random']

/** One constructor for each event of an aggregate, as handlers have them: `const { Deposited } = eventsOf(Account)`. */
export function eventsOf<A extends Aggregate>(aggregate: A): Emit<A['events']> {
  const types = Object.keys(aggregate.events as object)
  return Object.fromEntries(types.map((type) => [type, (data: unknown) => ({ type, data })])) as Emit<A['events']>
}

/** A rejection to expect. Without details any will do. */
export function rejected<const Code extends string>(code: Code): ExpectedRejection<Code, never>
export function rejected<const Code extends string, Details>(
  code: Code,
  details: Details,
): ExpectedRejection<Code, Details>
export function rejected(code: string, ...details: readonly unknown[]): ExpectedRejection {
  return details.length === 0 ? { kind: 'rejection', code } : { kind: 'rejection', code, details: details[0] }
}

/**
 * An aggregate that these events have happened to.
 *
 * @example given(Account, [AccountOpened({ owner: 'Ada' })]).when('withdraw', { amount: 1 }).then(rejected('insufficient-funds'))
 * @throws AssertionError where an event could not stand in the log
 */
export function given<A extends Aggregate>(aggregate: A, events: readonly GivenEvent<A>[] = []): Given<A> {
  const history = attempt(`given ${aggregate.type}`, () => checkedHistory(aggregate, events))
  const state = attempt(`given ${aggregate.type}`, () => replay(aggregate, initialState(aggregate), history))
  const when = (name: string, payload?: unknown, circumstances: Circumstances = {}): unknown => {
    const scene: Scene = { aggregate, history, state, name, payload }
    return createWhen(
      scene,
      attempt(setting(scene), () => outcomeOf(scene, circumstances)),
    )
  }
  return { when } as Given<A>
}

interface Scene {
  readonly aggregate: Aggregate
  readonly history: readonly EmittedEvent[]
  readonly state: unknown
  readonly name: string
  readonly payload: unknown
}

// Whoever has a `then` is taken for a promise, so `await` is answered with what to do instead.
/* oxlint-disable unicorn/no-thenable */
function createWhen(scene: Scene, outcome: Outcome): unknown {
  const rest = { thenState: (expected: unknown): unknown => (checkState(scene, outcome, expected), rest) }
  return {
    ...rest,
    then(expected: unknown): unknown {
      if (typeof expected === 'function') {
        throw new Error('given … when … then … waits for nothing: leave out the await, and say what you expect')
      }
      if (typeof expected !== 'object' || expected === null) {
        throw failure(`then takes events or a rejection, and was given ${String(expected)}`)
      }
      const { kind } = expected as { readonly kind?: unknown }
      if (kind === 'rejection') checkRejection(scene, outcome, expected as ExpectedRejection)
      else checkEvents(scene, outcome, Array.isArray(expected) ? expected : [expected])
      return rest
    },
    thenNothing: (): unknown => (checkEvents(scene, outcome, []), rest),
    thenFails: (code: string): unknown => (checkFailure(scene, outcome, code), rest),
  }
}
/* oxlint-enable unicorn/no-thenable */

function outcomeOf({ aggregate, state, name, payload }: Scene, circumstances: Circumstances): Outcome {
  let taken: unknown
  try {
    taken = payloadOf(aggregate, name, payload)
  } catch (error) {
    if (error instanceof PenholdError) return { kind: 'failed', error }
    throw error
  }
  const request = requestFor(name, taken, circumstances)
  const outcome = decideOnce(aggregate, state, request)
  const again = outcomeDifference(outcome, decideTomorrow(aggregate, state, request))
  if (again !== undefined)
    throw new Error(`'${name}' is not pure: it came to\n${again}\nfor the same state and payload`)
  if (aggregate.snapshotEvery !== false && plainProblem(state) === undefined) {
    const restored = outcomeDifference(outcome, decideOnce(aggregate, copyOf(state), request))
    if (restored !== undefined) {
      throw new Error(
        `'${name}' depends on what a snapshot loses: it came to\n${restored}\non a state that was read back`,
      )
    }
  }
  return outcome
}

function requestFor(name: string, payload: unknown, circumstances: Circumstances): Request {
  const { id = 'test', commandId = testId(0), metadata = {}, now = FIRST_MOMENT } = circumstances
  const { newIds, random } = circumstances
  const unknown = Object.keys(circumstances).find((key) => !CIRCUMSTANCES.includes(key))
  if (unknown !== undefined) {
    throw new Error(`there is no circumstance '${unknown}'; there are ${CIRCUMSTANCES.join(', ')}`)
  }
  return {
    name,
    payload,
    id,
    commandId,
    metadata,
    now: Number(now),
    draws: () => ({
      newId: newIds ? row('newIds', newIds) : countedIds(),
      random: random ? row('random', random) : seeded(),
    }),
  }
}

function row<Value>(what: string, values: readonly Value[]): () => Value {
  let drawn = 0
  return () => {
    if (drawn === values.length)
      throw new Error(`the test gives ${values.length} values for ${what}, the handler draws more`)
    return values[drawn++]!
  }
}

function countedIds(): Draws['newId'] {
  let last = 0
  return () => testId((last += 1))
}

/** A UUIDv7 that can be told from others at a glance. */
function testId(number: number): string {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
}

function seeded(): Draws['random'] {
  const random = new SeededRandom(1)
  return () => random.next() / 2 ** 32
}

function checkEvents(scene: Scene, outcome: Outcome, expected: readonly { type: string; data?: unknown }[]): void {
  const happened = outcome.kind === 'accepted' ? outcome.events : undefined
  const wanted = expected.map(({ type, data }) => ({ type, data }))
  if (happened !== undefined && difference(wanted, happened) === undefined) return
  fail(scene, expected.length === 0 ? 'nothing' : expected.map(describeEvent).join('\n'), told(outcome))
}

function checkRejection(scene: Scene, outcome: Outcome, expected: ExpectedRejection): void {
  const { code, details } = expected
  const hasDetails = 'details' in expected
  const isSame =
    outcome.kind === 'rejected' &&
    outcome.code === code &&
    (!hasDetails || difference(details, outcome.details) === undefined)
  if (isSame) return
  // Details that nobody asked for would look as if they were wrong.
  const shown = outcome.kind === 'rejected' && !hasDetails ? { ...outcome, details: undefined } : outcome
  fail(scene, describeOutcome({ kind: 'rejected', code, details }), told(shown))
}

function checkState(scene: Scene, outcome: Outcome, expected: unknown): void {
  if (outcome.kind === 'failed') fail(scene, 'a state', told(outcome))
  const state = outcome.kind === 'accepted' ? outcome.state : scene.state
  if (typeof expected === 'function') {
    const isRight: unknown = (expected as (state: unknown) => unknown)(state)
    // What it finds later nobody would hear of.
    if (isRight instanceof Promise) throw failure('thenState waits for nothing: its function must not be async')
    if (isRight === false) fail(scene, `a state for which ${String(expected)}`, describeValue(state))
  } else if (difference(expected, state) !== undefined) {
    fail(scene, describeValue(expected), describeValue(state))
  }
}

function checkFailure(scene: Scene, outcome: Outcome, code: string): void {
  if (outcome.kind === 'failed' && outcome.error.code === code) return
  fail(scene, `failed with ${code}`, told(outcome))
}

function told(outcome: Outcome): string {
  if (outcome.kind !== 'accepted' || outcome.events.length === 0) return describeOutcome(outcome)
  return outcome.events.map(describeEvent).join('\n')
}

function setting({ aggregate, history, name, payload }: Scene): string {
  const events = history.length === 0 ? ' without events' : `\n${history.map(describeEvent).join('\n')}`
  return `${labelled('given ', `${aggregate.type}${events}`)}\n${labelled('when  ', describeNamed(name, payload))}`
}

function fail(scene: Scene, expected: string, happened: string): never {
  throw unexpected(setting(scene), { expected, happened })
}
