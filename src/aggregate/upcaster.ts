/**
 * From an event as it stands in the log to today's shape: former names resolved, upcasters applied in order.
 */
import type { Aggregate, StoredEventShape } from './aggregate.ts'
import { synchronous } from './synchronous.ts'

/** Today's name of a stored event and its data in today's shape. */
export interface CurrentEvent {
  readonly type: string
  readonly data: unknown
}

/** The version under which an event is recorded today: one more than it has upcasters. */
export function eventVersion(aggregate: Aggregate, type: string): number {
  return (aggregate.upcasters[type]?.length ?? 0) + 1
}

/** Why a stored event has no way to today's shape; `undefined` where it has one. */
export function missingPath(aggregate: Aggregate, stored: StoredEventShape): string | undefined {
  const type = currentName(aggregate, stored.type)
  if (type === undefined) {
    return `${aggregate.type} has no evolve function for the stored event '${stored.type}'; add one, or name it in renamedEvents`
  }
  const known = eventVersion(aggregate, type)
  if (stored.version > known) {
    return `${aggregate.type} knows '${type}' up to version ${known}, the log has version ${stored.version}; was an upcaster removed, or is this older code?`
  }
  return undefined
}

/** Brings a stored event to today's shape. The caller has made sure that there is a path (`missingPath`). */
export function upcast(aggregate: Aggregate, stored: StoredEventShape, data: unknown): CurrentEvent {
  const type = currentName(aggregate, stored.type) ?? stored.type
  const chain = aggregate.upcasters[type]
  if (chain === undefined) return { type, data }
  let current = data
  for (let version = stored.version; version <= chain.length; version += 1) {
    current = synchronous(chain[version - 1]!(current, { type: stored.type, version }))
  }
  return { type, data: current }
}

function currentName(aggregate: Aggregate, stored: string): string | undefined {
  if (Object.hasOwn(aggregate.events, stored)) return stored
  return Object.hasOwn(aggregate.renamedEvents, stored) ? aggregate.renamedEvents[stored] : undefined
}
