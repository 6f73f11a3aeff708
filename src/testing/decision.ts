/**
 * One decision outside of any actor, with the checks of the runtime (actor/decide.ts): what is given, what comes of it,
 * and whether it comes of it again. Nothing here waits, and nothing but the handlers can be impure.
 */
import { decide, DecisionContext, evolve } from '../actor/decide.ts'
import { DEFAULT_ACTOR_LIMITS } from '../actor/limits.ts'
import type { CommandMessage } from '../actor/message.ts'
import type { Aggregate, CommandContext, EmittedEvent } from '../aggregate/aggregate.ts'
import { PenholdError } from '../aggregate/error.ts'
import { frozen } from '../aggregate/frozen.ts'
import { hashPlain, NotPlain } from '../aggregate/plain.ts'
import { badPayload } from '../cluster/error.ts'
import { checkedPayload } from '../cluster/ref.ts'
import { decode, encode } from '../log/codec.ts'
import { IdSource } from '../log/identity.ts'
import { NO_BYTES } from '../log/slice.ts'
import { describeEvents, describeNamed } from './describe.ts'
import { difference } from './difference.ts'
import { SeededRandom } from './random.ts'
import { SimulatedClock } from './simulated-clock.ts'

/** All that a decision may depend on beside the state. */
export interface Request {
  readonly name: string
  /** As its schema made it (`payloadOf`). */
  readonly payload: unknown
  readonly id: string
  readonly commandId: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly now: number
  /** The ids and the chance that the handler draws, from the first on. */
  readonly draws: () => Draws
}

export type Draws = Pick<CommandContext<unknown>, 'newId' | 'random'>

export type Outcome =
  | { readonly kind: 'accepted'; readonly events: readonly EmittedEvent[]; readonly state: unknown }
  | { readonly kind: 'rejected'; readonly code: string; readonly details: unknown }
  | { readonly kind: 'failed'; readonly error: PenholdError }

const DAY_MS = 24 * 60 * 60_000
const ids = new IdSource(new SimulatedClock(), new SeededRandom(1))

/** The value as it comes out of a frame, or of the log. */
export function copyOf<Value>(value: Value): Value {
  return value === undefined ? value : (decode(encode(value)) as Value)
}

/** The payload that a handler gets for what its caller gave. @throws PenholdError `BadPayload` */
export function payloadOf(aggregate: Aggregate, name: string, given: unknown): unknown {
  const names = Object.keys(aggregate.commands as object)
  if (!names.includes(name)) throw new Error(`${aggregate.type} has no command '${name}'; it has ${names.join(', ')}`)
  const what = `the command '${name}' of ${aggregate.type}`
  const payload = checkedPayload(what, aggregate.schemas[name], given)
  const problem = plainProblem(payload)
  if (problem !== undefined) throw badPayload(what, `it cannot be sent (payload${problem})`)
  return copyOf(payload)
}

/** Why a value is no plain data; undefined where it is. */
export function plainProblem(value: unknown): string | undefined {
  try {
    hashPlain(value, 0)
    return undefined
  } catch (error) {
    if (error instanceof NotPlain) return error.message
    throw error
  }
}

export function initialState(aggregate: Aggregate): unknown {
  return frozen(aggregate.initialState())
}

/** The state after events that come out of the log. @throws PenholdError `HandlerFailed` */
export function replay(aggregate: Aggregate, state: unknown, events: readonly EmittedEvent[]): unknown {
  return events.reduce((before, { type, data }) => evolve(aggregate, before, { type, data: copyOf(data) }), state)
}

/**
 * The events as a decision would have recorded them, with all checks.
 * @throws an error where one of them could not stand in the log
 */
export function checkedHistory(aggregate: Aggregate, events: readonly unknown[]): readonly EmittedEvent[] {
  const names = Object.keys(aggregate.events as object)
  for (const event of events) {
    const { type } = event as EmittedEvent
    if (!names.includes(type)) throw new Error(`${aggregate.type} has no event '${type}'; it has ${names.join(', ')}`)
  }
  const teller = { ...aggregate, commands: { tell: () => events } }
  const message = messageFor(aggregate, { name: 'tell', payload: undefined, id: 'given' })
  const context = new DecisionContext(aggregate, ids)
  const limits = { eventsPerCommandMax: Number.POSITIVE_INFINITY }
  const decided = decide(teller, initialState(aggregate), { message, context, limits })
  return decided.kind === 'events' ? decided.events : []
}

export function decideOnce(aggregate: Aggregate, state: unknown, request: Request): Outcome {
  const made = new DecisionContext(aggregate, ids)
  const { id, commandId, metadata, now } = request
  const given = { id, commandId, metadata: copyOf(metadata), now, ...request.draws() }
  const forgotten = (returned: readonly unknown[]): string | undefined => made.forgotten(returned)
  const context = { emit: made.emit, reject: made.reject, forgotten, ...given }
  const message = messageFor(aggregate, { ...request, payload: copyOf(request.payload) })
  try {
    const decided = decide(aggregate, state, { message, context, limits: DEFAULT_ACTOR_LIMITS })
    if (decided.kind === 'events') return { kind: 'accepted', events: decided.events, state: decided.state }
    return { kind: 'rejected', code: decided.rejection.code, details: decided.rejection.details }
  } catch (error) {
    if (error instanceof PenholdError) return { kind: 'failed', error }
    throw error
  }
}

/** Decides as if it were tomorrow: a handler that looks at the clock by itself comes to something else. */
export function decideTomorrow(aggregate: Aggregate, state: unknown, request: Request): Outcome {
  const today = globalThis.Date
  globalThis.Date = new Proxy(today, {
    construct: (target, given: unknown[], newTarget) =>
      Reflect.construct(target, given.length === 0 ? [today.now() + DAY_MS] : given, newTarget) as object,
    get: (target, key) => (key === 'now' ? () => today.now() + DAY_MS : (Reflect.get(target, key) as unknown)),
  })
  try {
    return decideOnce(aggregate, state, request)
  } finally {
    globalThis.Date = today
  }
}

/** What two outcomes of the same request differ in; undefined where they are the same. */
export function outcomeDifference(one: Outcome, other: Outcome): string | undefined {
  if (one.kind === 'failed' && other.kind === 'failed') return undefined
  if (difference(toldBy(one), toldBy(other)) === undefined) return undefined
  return `${describeOutcome(one)}\nand\n${describeOutcome(other)}`
}

export function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'accepted':
      return describeEvents(outcome.events)
    case 'rejected':
      return `rejected ${describeNamed(`'${outcome.code}'`, outcome.details)}`
    case 'failed':
      return `failed with ${outcome.error.code}: ${outcome.error.message}`
  }
}

/** What of an outcome others see. */
function toldBy(outcome: Outcome): unknown {
  switch (outcome.kind) {
    case 'accepted':
      return outcome.events.map(({ type, data }) => ({ type, data: data ?? null }))
    case 'rejected':
      return { code: outcome.code, details: outcome.details }
    case 'failed':
      return outcome.error
  }
}

function messageFor(aggregate: Aggregate, of: Pick<Request, 'name' | 'payload' | 'id'>): CommandMessage {
  return {
    kind: 'command',
    request: 0,
    epoch: 0,
    stream: `${aggregate.type}/${of.id}`,
    name: of.name,
    payload: of.payload,
    commandId: NO_BYTES,
    payloadHash: 0,
    isFresh: true,
    isAgain: false,
    expectedVersion: -1,
    deadline: Number.POSITIVE_INFINITY,
    after: 0,
    since: 0,
    sentIn: undefined,
    waitsForReactors: false,
    metadata: undefined,
  }
}
