/** What nobody may fail by, and how long nobody may wait for an answer, where nothing is broken that callers depend on. */
import type { Attempt } from '../history.ts'
import { STAMP_MS } from '../reactors/stamped.ts'
import { FORMED_MS, isGentle, LATE_LEASES_MS, OF_THE_STORE, SLOW_PATH_MS, type ClusterPlan } from './plan.ts'

/** A shard that moves, on a network and a disk as they should be. */
const WAIT_MS = 150
/** A node that ends where nobody is known yet leaves its shards to whoever beats next, and that may be under way. */
const BEATS_MS = 600
/** Of a network that is slow, and how often a message and what it waits for cross it. */
const SLOW_NETWORK_MS = 40
const CROSSINGS = 8
/** Before the store has answered so many beats of the first node, nobody serves anything. */
const BEATS_AT_FIRST = 3

/** What is wrong, in words. */
export function brokenGentleness(plan: ClusterPlan, attempts: readonly Attempt[]): string[] {
  if (!isGentle(plan)) return []
  const waitMax = waitMaxOf(plan)
  return attempts.flatMap(({ stream, outcome, invokedAt, returnedAt }) => {
    if (hasFailed(outcome)) return [`${stream} failed for no reason: ${JSON.stringify(outcome)}`]
    const waitMs = Math.round(returnedAt - invokedAt)
    return waitMs <= waitMax ? [] : [`${stream} waited ${waitMs} ms at ${invokedAt}, ${waitMax} are enough`]
  })
}

function hasFailed(outcome: Attempt['outcome']): boolean {
  // A node that ends says so, and nothing is lost by asking another.
  return outcome.kind === 'unknown' || (outcome.kind === 'none' && outcome.code !== 'NodeClosed')
}

function waitMaxOf({ faults, isStamped }: ClusterPlan): number {
  const kinds = new Set(faults.map(({ kind }) => kind))
  if (OF_THE_STORE.some((kind) => kinds.has(kind))) return Number.POSITIVE_INFINITY
  let ms = WAIT_MS + (isStamped === true ? STAMP_MS : 0)
  if (kinds.has('slow-network')) ms += CROSSINGS * SLOW_NETWORK_MS
  if (kinds.has('slow-path')) ms += CROSSINGS * SLOW_PATH_MS
  if (faults.some(({ kind, atMs }) => kind === 'leases-late' && atMs < FORMED_MS)) ms += BEATS_AT_FIRST * LATE_LEASES_MS
  if (kinds.has('drain-node')) ms += BEATS_MS + (kinds.has('leases-late') ? 2 * LATE_LEASES_MS : 0)
  return ms
}
