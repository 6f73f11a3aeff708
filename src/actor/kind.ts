/** An aggregate type with what a worker keeps for it. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { eventVersion, missingPath } from '../aggregate/upcaster.ts'
import type { IdSource } from '../log/identity.ts'
import { DecisionContext } from './decide.ts'

export interface Kind {
  readonly aggregate: Aggregate
  readonly context: DecisionContext
  /** Each event's name as it is recorded, and the version of its shape. */
  readonly types: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly version: number }>
}

export function createKind(aggregate: Aggregate, ids: IdSource): Kind {
  const types = new Map(
    Object.keys(aggregate.events as object).map((type) => [
      type,
      { bytes: new TextEncoder().encode(type), version: eventVersion(aggregate, type) },
    ]),
  )
  return { aggregate, context: new DecisionContext(aggregate, ids), types }
}

/** What of the event types in a log, given as `account/MoneyDeposited@1`, today's definitions have no path for. */
export function missingPaths(kinds: ReadonlyMap<string, Kind>, eventTypes: Iterable<string>): string[] {
  const problems: string[] = []
  for (const key of eventTypes) {
    const [, type = '', event = '', version = ''] = /^([^/]+)\/(.+)@(\d+)$/.exec(key) ?? []
    const kind = kinds.get(type)
    // The events of a type that is no longer defined belong to nobody here.
    const problem = kind && missingPath(kind.aggregate, { type: event, version: Number(version) })
    if (problem !== undefined) problems.push(problem)
  }
  return problems
}
