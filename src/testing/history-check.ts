/**
 * What the callers were told, and what the aggregates said of themselves, against what the log has in the end: first
 * the promises of Penhold (I2, I4, I5), then those that only the aggregate's own code can keep.
 */
import { answer } from '../actor/decide.ts'
import type { EmittedEvent } from '../aggregate/aggregate.ts'
import {
  copyOf,
  decideTomorrow,
  initialState,
  outcomeDifference,
  plainProblem,
  replay,
  type Outcome,
} from './decision.ts'
import { forgetful, impure, type Telling } from './decider-run.ts'
import { describeEvents } from './describe.ts'
import { difference } from './difference.ts'
import { Broken, checkInvariantsOf } from './invariant.ts'
import type { Answer, LoggedEvent, Question } from './machine.ts'
import type { Watched } from './watched.ts'

/** A command, with all that its callers were told. */
export interface Sent {
  readonly number: number
  readonly question: Question
  readonly replies: Reply[]
  tries: number
  /** Tries that ended without an answer, and may have taken effect. */
  lost: number
}

export type Reply =
  | ({ readonly kind: 'accepted' } & Answer)
  | { readonly kind: 'rejected'; readonly code: string; readonly details: unknown }

/** What an aggregate said of itself when all was done. */
export interface LastLook {
  /** To each query that takes no argument. */
  readonly answers: ReadonlyMap<string, unknown>
  /** Its state at each version, from a snapshot where there was one; none where it cannot be read. */
  readonly states: readonly unknown[]
}

interface Found {
  readonly histories: ReadonlyMap<string, readonly LoggedEvent[]>
  readonly looks: ReadonlyMap<string, LastLook>
  readonly sent: readonly Sent[]
  /** The last decision on each command, by its id. */
  readonly decisions: ReadonlyMap<string, Watched>
}

/** An aggregate's states by version, each replayed from the first event on. */
type States = readonly unknown[]

/** @throws Broken */
export function checkHistories(telling: Telling, found: Found): void {
  const statesOf = new Map<string, States>()
  for (const [id, events] of found.histories) {
    promise(
      events.every(({ version }, i) => version === i + 1),
      `the versions of ${id} do not count 1, 2, 3 …: ${events.map(({ version }) => version).join(', ')}`,
    )
    for (const sent of found.sent) if (sent.question.id === id) checkToldOf(sent, eventsOf(sent, events))
    statesOf.set(id, checkStates(telling, { id, events, look: found.looks.get(id)! }))
  }
  // Backwards, since what a handler keeps elsewhere than in the state may be as it was in the order of the story.
  for (const sent of found.sent.toReversed()) {
    const { id } = sent.question
    checkDecision(telling, { sent, found, states: statesOf.get(id)!, own: eventsOf(sent, found.histories.get(id)!) })
  }
}

function eventsOf({ question }: Sent, events: readonly LoggedEvent[]): readonly LoggedEvent[] {
  return events.filter(({ commandId }) => commandId === question.commandId)
}

/** The acknowledged is there, once, as it was told; and nothing else is. */
function checkToldOf({ number, replies, lost }: Sent, own: readonly LoggedEvent[]): void {
  const inLog = `the log has ${describeEvents(own)} of it`
  promise(
    own.every(({ version }, i) => version === own[0]!.version + i),
    `the events of #${number} do not stand together`,
  )
  for (const reply of replies) {
    if (!hasEvents(reply)) continue
    promise(
      difference(reply.events.map(plainly), own.map(plainly)) === undefined,
      `#${number} was acknowledged, and ${inLog}`,
    )
    promise(own.at(-1)!.version === reply.version, `#${number} does not stand at the version that was told`)
  }
  if (own.length === 0) return
  promise(lost > 0 || replies.some(hasEvents), `#${number} was not accepted, but ${inLog}`)
  promise(hasEvents(replies.at(-1)!), `#${number} took effect, but was told to have none when it was asked again`)
}

/** Replays the stream, and holds every state that was ever seen against its states. */
function checkStates(
  { aggregate, invariants }: Telling,
  of: { readonly id: string; readonly events: readonly LoggedEvent[]; readonly look: LastLook },
): States {
  const { id, look } = of
  const name = `${aggregate.type}/${id}`
  const events: readonly EmittedEvent[] = of.events.map(plainly)
  const states: unknown[] = [initialState(aggregate)]
  for (const event of events) states.push(replay(aggregate, states.at(-1), [event]))
  for (const [version, state] of states.entries()) {
    const place = { id, before: states[version - 1], events: events.slice(0, version) }
    checkInvariantsOf(aggregate, invariants, { ...place, state }, ', replayed from its events')
    if (look.states.length === 0) continue
    const problem = difference(state, look.states[version])
    if (problem !== undefined) {
      throw new Broken(
        `the state of ${name} at version ${version} depends on whether it is read from a snapshot. Replayed from all events, and read:\n  ${problem}`,
      )
    }
    checkInvariantsOf(aggregate, invariants, { ...place, state: look.states[version] }, ', as it is read from the log')
  }
  for (const [query, given] of look.answers) {
    const wanted = answer(aggregate, states.at(-1), {
      kind: 'query',
      request: 0,
      epoch: 0,
      stream: name,
      name: query,
      payload: undefined,
    })
    const problem = difference(wanted, given)
    if (problem === undefined) continue
    throw new Broken(
      `the query '${query}' of ${name} says otherwise of the state in memory than of the replayed one. Replayed, and in memory:\n  ${problem}`,
    )
  }
  return states
}

/** The decision stood on the state that a replay comes to, and would be the same again. */
function checkDecision(
  { aggregate }: Telling,
  of: { readonly sent: Sent; readonly found: Found; readonly states: States; readonly own: readonly LoggedEvent[] },
): void {
  const { sent, found, states, own } = of
  const { number, question, replies } = sent
  const watched = found.decisions.get(question.commandId)
  if (watched === undefined) return
  const { state, request } = watched
  const version = (own[0]?.version ?? 0) - 1
  if (version >= 0) {
    const problem = difference(states[version], state)
    if (problem !== undefined) {
      throw new Broken(
        `#${number} was decided on a state in memory that is not the replayed one. Replayed, and in memory:\n  ${problem}`,
      )
    }
  }
  const was: Outcome = own.length > 0 ? { kind: 'accepted', events: own, state } : outcomeOf(replies.at(-1)!, state)
  const tomorrow = outcomeDifference(was, decideTomorrow(aggregate, state, request))
  if (tomorrow !== undefined) throw new Broken(`#${number}: ${impure(request, tomorrow)}`)
  const read = version >= 0 ? states[version] : plainProblem(state) === undefined ? copyOf(state) : state
  const again = outcomeDifference(was, decideTomorrow(aggregate, read, request))
  if (again !== undefined)
    throw new Broken(`#${number}: ${forgetful(request, 'the state as the log gives it back', again)}`)
}

function outcomeOf(reply: Reply, state: unknown): Outcome {
  return reply.kind === 'rejected' ? reply : { kind: 'accepted', events: reply.events, state }
}

function hasEvents(reply: Reply): reply is Reply & { readonly kind: 'accepted' } {
  return reply.kind === 'accepted' && reply.events.length > 0
}

/** The event without its place. Data that is not there is null in the log. */
function plainly({ type, data }: EmittedEvent): EmittedEvent {
  return { type, data: data ?? null }
}

/** @throws Broken where Penhold itself is wrong */
function promise(holds: boolean, otherwise: string): void {
  if (!holds) throw new Broken(`Penhold broke a promise: ${otherwise}. Please report it with this story`)
}
