/**
 * Appending to a stream, and asking about one, as said to its actor: a command and queries whose names no user can give,
 * as those begin with a letter. What is said is checked by whoever says it, and again here, since it comes over a wire.
 */
import { describe } from '../aggregate/error.ts'
import { isId } from '../log/identity.ts'
import { isCount } from '../log/count.ts'
import { appendRefused, concurrency, tooLarge } from './error.ts'
import type { ActorLimits } from './limits.ts'
import type { CommandMessage, Message, QueryMessage } from './message.ts'

/** The command that appends. */
export const APPEND = '$append'
/** The queries for a page of a stream (page.ts), for a version of it (find.ts), and for what it is. */
export const READ = '$read'
export const FIND = '$find'
export const INFO = '$info'

/** The event that a stream begins with that was created with something to remember. */
export const CREATED = '$created'
/** Where an event of a partitioned stream says whose it is. */
export const AGGREGATE_KEY = '$aggregate'

/** A stream takes any events (simple), or those of many aggregates, each with its versions (partitioned). */
export type Persistence = 'simple' | 'partitioned'

/** Whose event one of a partitioned stream is, and which of that aggregate's: 1, 2, 3 … */
export interface PartitionVersion {
  readonly type: string
  readonly id: string
  readonly version: number
}

/** An event to append. */
export interface NewEvent {
  readonly type: string
  readonly data?: unknown
  /** A UUID that the caller knows it by. Default: a new UUIDv7. */
  readonly id?: string
  /** Kept with the event, over what is given for all events of the append. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** For a partitioned stream, which takes no event without it: the next version of this aggregate. */
  readonly aggregate?: PartitionVersion
}

/** In which state a stream must be: at this version, in any, not there yet, or there. */
export type ExpectedVersion = number | 'any' | 'no-stream' | 'stream-exists'

export interface Creation {
  readonly persistence: Persistence
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface Append {
  readonly events: readonly NewEvent[]
  readonly expected: ExpectedVersion
  readonly create: Creation | undefined
  /** Whoever sends it knows the stream as an aggregate's. Who does not is to leave it alone: it would take anything. */
  readonly isAggregates: boolean
}

/** What a stream is. */
export interface StreamInfo {
  readonly persistence: Persistence | 'aggregate'
  /** Of its last event; 0 where it has none. */
  readonly version: number
  /** What it was created with. */
  readonly metadata: Readonly<Record<string, unknown>>
}

const EVENT_KEYS = ['type', 'data', 'id', 'metadata', 'aggregate']
const TYPE_BYTES_MAX = 255
const PARTITION_BYTES_MAX = 400

/** Whether a message is the store's, which asks no aggregate anything. */
export function isStoreMessage(message: Message): boolean {
  return message.kind !== 'state' && message.name.startsWith('$')
}

/** Whether it is answered from the log, beside the mailbox. */
export function isRead({ name }: QueryMessage): boolean {
  return name === READ || name === FIND
}

/** @throws PenholdError `BadPayload` or `TooLarge` */
export function readAppend({ stream, payload }: CommandMessage, limits: ActorLimits): Append {
  const problem = appendProblem(payload)
  if (problem !== undefined) throw appendRefused(stream, problem)
  const { events, expected = 'any', create, isAggregates } = payload as Partial<Append>
  if (events!.length > limits.eventsPerCommandMax) {
    throw tooLarge(`an append to ${stream}, in events,`, events!.length, limits.eventsPerCommandMax)
  }
  return {
    events: events!,
    expected,
    create: create && { persistence: create.persistence, metadata: create.metadata },
    isAggregates: isAggregates === true,
  }
}

/** @throws PenholdError `ConcurrencyError` */
export function checkExpected(
  stream: string,
  expected: ExpectedVersion,
  { version, exists }: { readonly version: number; readonly exists: boolean },
): void {
  const isMet =
    expected === 'any' ||
    (expected === 'no-stream' && !exists) ||
    (expected === 'stream-exists' && exists) ||
    expected === version
  if (!isMet) throw concurrency(stream, expected, exists ? version : 'no-stream')
}

/** What is wrong with an append; undefined where nothing is. */
export function appendProblem(payload: unknown): string | undefined {
  if (!isObject(payload)) return 'it is no object'
  const { events, expected, create } = payload
  if (!Array.isArray(events)) return 'its events are no list'
  if (events.length === 0 && create === undefined) return 'it has no events'
  if (!isExpected(expected)) {
    return `expectedVersion is ${describe(expected)}; give a version from 0, 'any', 'no-stream' or 'stream-exists'`
  }
  if (create !== undefined) {
    if (!isObject(create) || (create['persistence'] !== 'simple' && create['persistence'] !== 'partitioned')) {
      return `a stream's persistence is 'simple' or 'partitioned'`
    }
    const problem = metadataProblem(create['metadata'])
    if (problem !== undefined) return `the stream's metadata ${problem}`
  }
  const ids = new Set<unknown>()
  for (const [i, event] of events.entries()) {
    const problem = eventProblem(event, ids)
    if (problem !== undefined) return `events[${i}] ${problem}`
  }
  return undefined
}

/** What is wrong with metadata of a caller's; undefined where nothing is. */
export function metadataProblem(metadata: unknown): string | undefined {
  if (!isObject(metadata)) return `is ${describe(metadata)}, and no object`
  const taken = Object.keys(metadata).find((key) => key.startsWith('$'))
  return taken === undefined ? undefined : `has the key '${taken}'; what begins with $ is Penhold's own`
}

function eventProblem(event: unknown, ids: Set<unknown>): string | undefined {
  if (!isObject(event)) return `is ${describe(event)}; give { type, data }`
  const unknown = Object.keys(event).find((key) => !EVENT_KEYS.includes(key))
  if (unknown !== undefined) return `has a key '${unknown}'; an event has ${EVENT_KEYS.join(', ')}`
  const { type, id, metadata, aggregate } = event
  if (!isName(type, TYPE_BYTES_MAX)) {
    return `has the type ${shown(type)}; give a text of 1 to ${TYPE_BYTES_MAX} bytes without control characters, and not a $ first`
  }
  if (id !== undefined) {
    if (typeof id !== 'string' || !isId(id)) return `has the id ${shown(id)}, which is no UUID`
    const known = id.toLowerCase()
    if (ids.has(known)) return `has the id ${id}, which another event of the append has`
    ids.add(known)
  }
  const problem = metadata === undefined ? undefined : metadataProblem(metadata)
  if (problem !== undefined) return `: its metadata ${problem}`
  return aggregate === undefined || isPartitionVersion(aggregate)
    ? undefined
    : `says aggregate: ${describe(aggregate)}; give { type, id, version }: texts of up to ${PARTITION_BYTES_MAX} bytes together, the type without a slash, and a version from 1`
}

export function isPartitionVersion(value: unknown): value is PartitionVersion {
  if (!isObject(value)) return false
  const { type, id, version } = value
  if (!isName(type, PARTITION_BYTES_MAX) || !isName(id, PARTITION_BYTES_MAX) || type.includes('/')) return false
  if (Buffer.byteLength(type) + Buffer.byteLength(id) > PARTITION_BYTES_MAX) return false
  return isCount(version) && version > 0 && Object.keys(value).length === 3
}

function isName(value: unknown, bytesMax: number): value is string {
  if (typeof value !== 'string' || value === '' || !value.isWellFormed() || value.startsWith('$')) return false
  // oxlint-disable-next-line no-control-regex -- control characters are what this refuses
  return Buffer.byteLength(value) <= bytesMax && !/[\u0000-\u001f\u007f]/.test(value)
}

function isExpected(value: unknown): value is ExpectedVersion | undefined {
  return value === undefined || value === 'any' || value === 'no-stream' || value === 'stream-exists' || isCount(value)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

/** It may be long. */
function shown(value: unknown): string {
  return describe(typeof value === 'string' ? value.slice(0, 100) : value)
}
