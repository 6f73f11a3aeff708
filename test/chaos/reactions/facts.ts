/** What the log has of an account and of what it has set in motion, and what holds of each single fact. */
import type { LoggedEvent } from '../../checker/history.ts'
import type { Kinds } from './kinds.ts'

/** An event with what it says of itself and of its cause. */
export interface Fact extends LoggedEvent {
  readonly id: string
  readonly type: string
  /** Of an account's events nothing. */
  readonly data: unknown
  /** In milliseconds since 1970, by the clock of who has written it. */
  readonly time: number
  readonly causationId: string
  readonly correlationId: string
}

/** An event of an account that is wanted by somebody. */
export type Cause = Fact & { readonly kinds: Kinds }

/** An account, what follows from it, and up to where all of that has to be there. */
export interface AccountFacts {
  readonly id: string
  readonly events: readonly Cause[]
  readonly settled: number
  /** The events of a stream. */
  readonly of: (stream: string) => readonly Fact[]
  readonly apartMs: number
}

/** Notes are for these numbers, in this order, each once; those up to the settled one are there. */
export function checkRow(
  what: string,
  { notes, of, settled }: { readonly notes: readonly Fact[]; readonly of: readonly number[]; readonly settled: number },
): string[] {
  const had = notes.map(({ data }) => (data as { readonly of: number }).of)
  const wrong = had.findIndex((number, i) => number !== of[i])
  if (wrong >= 0) return [`${what}: ${had[wrong]} is noted as number ${wrong + 1}, which is ${of[wrong] ?? 'none'}`]
  const missing = of.slice(had.length).filter((number) => number <= settled)
  return missing.length === 0 ? [] : [`${what}: ${missing.length} are not noted, the first is ${missing[0]}`]
}

/** That an event came because of another one, and behind it. */
export function checkCause(event: Fact, cause: Fact | undefined): string[] {
  if (cause === undefined) return []
  const { id, type, causationId, correlationId, position } = event
  if (causationId !== cause.id) return [`${type} ${id} names ${causationId} as its cause, and it is ${cause.id}`]
  if (correlationId !== cause.correlationId) return [`${type} ${id} has another correlation than its cause`]
  if (position <= cause.position) return [`${type} ${id} is at ${position}, and its cause at ${cause.position}`]
  return []
}
