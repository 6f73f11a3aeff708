/** Rules that a user's states must keep, and the breaking of one, or of a promise that every aggregate makes. */
import { answer } from '../actor/decide.ts'
import type {
  Aggregate,
  AnyEventOf,
  EmittedEvent,
  QueryArgumentOf,
  QueryName,
  QueryResultOf,
  StateOf,
} from '../aggregate/aggregate.ts'
import type { Arguments } from '../cluster/ref.ts'
import { describeEvents, describeValue } from './describe.ts'

/** How a state came about, for rules that need to know. */
export interface Seen<A extends Aggregate> {
  /** The aggregate's id. */
  readonly id: string
  readonly version: number
  /** The state before the last event; undefined where there is none. */
  readonly before: StateOf<A> | undefined
  /** All events up to the state, oldest first. */
  readonly events: readonly AnyEventOf<A>[]
  /** What a query says of the state. */
  readonly query: <K extends QueryName<A>>(
    name: K,
    ...args: Arguments<QueryArgumentOf<A, K>, never>
  ) => QueryResultOf<A, K>
}

/** Holds for a state unless it says `false` or throws. Synchronous. */
export type Invariant<A extends Aggregate> = (state: StateOf<A>, seen: Seen<A>) => boolean | void

export type Invariants<A extends Aggregate> = Readonly<Record<string, Invariant<A>>>

/** Something does not hold. The message says what, without the story that led to it. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** A state in its stream. */
export interface Place {
  readonly id: string
  readonly state: unknown
  readonly before: unknown
  readonly events: readonly EmittedEvent[]
}

/** @throws Broken where one does not hold; `how` says how the state was come by, if not in memory */
export function checkInvariantsOf(
  aggregate: Aggregate,
  invariants: Invariants<Aggregate>,
  place: Place,
  how = '',
): void {
  const { id, state, before, events } = place
  const version = events.length
  const query = (name: string, payload?: unknown): unknown =>
    answer(aggregate, state, { kind: 'query', request: 0, epoch: 0, stream: `${aggregate.type}/${id}`, name, payload })
  const seen = { id, version, before, events, query } as unknown as Seen<Aggregate>
  for (const [name, invariant] of Object.entries(invariants)) {
    const problem = problemWith(() => invariant(state, seen))
    if (problem === undefined) continue
    const where = `${aggregate.type}/${id} at version ${version}${how}`
    throw new Broken(
      `'${name}' does not hold for ${where}\n  state   ${describeValue(state)}\n  events  ${describeEvents(events)}${problem}`,
    )
  }
}

/** Undefined where the rule holds. */
function problemWith(invariant: () => unknown): string | undefined {
  let verdict: unknown
  try {
    verdict = invariant()
  } catch (error) {
    return `\n  ${String(error)}`
  }
  if (verdict instanceof Promise) return '\n  it returned a promise; invariants are synchronous'
  if (!isVerdict(verdict)) {
    return `\n  it returned ${describeValue(verdict)}, which says neither; return true or false, or nothing and throw`
  }
  return verdict === false ? '' : undefined
}

/** Whether it is `true`, `false` or nothing, or what assertions return that hold, in libraries such as chai. */
function isVerdict(value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return true
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype !== null && prototype !== Object.prototype
}
