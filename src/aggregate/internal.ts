/** Aggregates of Penhold's own: their types begin with `$`, so that no user can name one, or is in the way of one. */
import type { Aggregate } from './aggregate.ts'

/** What `defineAggregate` returned, as an aggregate that belongs to Penhold. */
export function internal<T extends string, S, E, C, Q, X>(
  aggregate: Aggregate<T, S, E, C, Q, X>,
): Aggregate<`$${T}`, S, E, C, Q, X> {
  return { ...aggregate, type: `$${aggregate.type}` }
}
