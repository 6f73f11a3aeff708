/** An aggregate type with what a worker keeps for it. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { eventVersion } from '../aggregate/upcaster.ts'
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
