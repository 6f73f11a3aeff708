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
  const path = pathsOf(aggregate).get(stored.type)
  if (path === undefined) {
    return `${aggregate.type} has no evolve function for the stored event '${stored.type}'; add one, or name it in renamedEvents`
  }
  const { type, chain } = path
  if (stored.version > chain.length + 1) {
    return `${aggregate.type} knows '${type}' up to version ${chain.length + 1}, the log has version ${stored.version}; was an upcaster removed, or is this older code?`
  }
  return undefined
}

/** What somebody was told has no way to the shape that this code has: it is of newer code, and no handler's fault. */
export class NoPath extends Error {
  override readonly name = 'NoPath'
}

/** What an event is called today that stands in the log under this name. */
export function currentName(aggregate: Aggregate, stored: string): string {
  return pathsOf(aggregate).get(stored)?.type ?? stored
}

/** Brings a stored event to today's shape. The caller has made sure that there is a path (`missingPath`). */
export function upcast(aggregate: Aggregate, stored: StoredEventShape, data: unknown): CurrentEvent {
  const path = pathsOf(aggregate).get(stored.type)
  if (path === undefined) return { type: stored.type, data }
  const { type, chain } = path
  let current = data
  for (let version = stored.version; version <= chain.length; version += 1) {
    current = synchronous(chain[version - 1]!(current, { type: stored.type, version }))
  }
  return { type, data: current }
}

/** What an event is called today, and its upcasters. */
interface Path {
  readonly type: string
  readonly chain: Aggregate['upcasters'][string]
}

const known = new WeakMap<Aggregate, ReadonlyMap<string, Path>>()
/** Events of one aggregate come one after the other, and a weak map is slow. */
let last: Aggregate | undefined
let pathsOfLast: ReadonlyMap<string, Path> = new Map()

/** By the names that events may stand under in the log. Looked up once an event, so that it is made once an aggregate. */
function pathsOf(aggregate: Aggregate): ReadonlyMap<string, Path> {
  if (aggregate === last) return pathsOfLast
  last = aggregate
  pathsOfLast = known.get(aggregate) ?? makePaths(aggregate)
  return pathsOfLast
}

function makePaths(aggregate: Aggregate): ReadonlyMap<string, Path> {
  const { events, renamedEvents, upcasters } = aggregate
  const paths = new Map<string, Path>()
  const add = (stored: string, type: string): unknown => paths.set(stored, { type, chain: upcasters[type] ?? [] })
  for (const [former, type] of Object.entries(renamedEvents)) add(former, type)
  // A name of today's is no former one.
  for (const type of Object.keys(events as object)) add(type, type)
  known.set(aggregate, paths)
  return paths
}
