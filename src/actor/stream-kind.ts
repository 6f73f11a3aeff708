/**
 * Streams that are no aggregate's. Their actor's state is what an append is held against: what the stream was created as,
 * and for a partitioned one the version of each aggregate in it. An append is decided by comparing with that, as all
 * appends to a stream come through its one actor.
 *
 * A stream that was created with something to remember begins with an event `$created` of version 0; one that is simple
 * and has no metadata begins with its first event.
 */
import type { StreamTail } from '../log/history.ts'
import { streamType, type Stream } from '../log/stream.ts'
import {
  AGGREGATE_KEY,
  APPEND,
  checkExpected,
  CREATED,
  INFO,
  isPartitionVersion,
  readAppend,
  type Append,
  type Creation,
  type NewEvent,
  type PartitionVersion,
  type StreamInfo,
} from './append.ts'
import { appendRefused, partitionConcurrency, unknownAggregate } from './error.ts'
import type { Circumstances, DecidedEvent, EventShape, Kind, Verdict } from './kind.ts'
import type { CommandMessage, QueryMessage } from './message.ts'
import { checkNext, EVENTS_PER_SIGN, type Recovered } from './recovery.ts'

/** No aggregate's states have it: what is written here is never taken for one, should the category become an aggregate. */
const SNAPSHOT_VERSION = 0
const SNAPSHOT_EVERY = 200

/** What is known of a stream beside its version. */
class StreamState {
  /** What it was created as; undefined where it was not, or had nothing to remember. */
  creation: Creation | undefined
  /** By `type/id`, of aggregates in a partitioned stream. */
  readonly versions: Map<string, number>

  constructor(creation?: Creation, versions = new Map<string, number>()) {
    this.creation = creation
    this.versions = versions
  }

  get isPartitioned(): boolean {
    return this.creation?.persistence === 'partitioned'
  }

  exists(version: number): boolean {
    return version > 0 || this.creation !== undefined
  }
}

/** One for all streams of a worker. */
export const STREAM_KIND: Kind = {
  aggregate: undefined,
  name: 'streams',
  snapshotVersion: SNAPSHOT_VERSION,

  /** As a snapshot names all aggregates, the more there are the fewer snapshots: what they add stays in proportion. */
  snapshotEvery(state) {
    const { versions } = state as StreamState
    return versions.size <= SNAPSHOT_EVERY ? SNAPSHOT_EVERY : 2 ** Math.ceil(Math.log2(versions.size))
  },

  snapshotOf(state) {
    const { creation, versions } = state as StreamState
    return { creation, versions: [...versions].flat() }
  },

  shapeOf(type): EventShape {
    return { bytes: new TextEncoder().encode(type), version: 1 }
  },

  decide(message, circumstances) {
    if (message.name !== APPEND) throw unknownAggregate(streamType(message.stream))
    return decideAppend(message, circumstances)
  },

  answer(message: QueryMessage, { state, version }) {
    if (message.name !== INFO) throw unknownAggregate(streamType(message.stream))
    const { creation } = state as StreamState
    const info: StreamInfo = { persistence: 'simple', metadata: {}, ...creation, version }
    return (state as StreamState).exists(version) ? info : undefined
  },

  recover(stream: Stream, { snapshot, events, newest }: StreamTail, onProgress): Recovered {
    const state = snapshot === undefined ? new StreamState() : fromSnapshot(snapshot.data)
    let version = snapshot?.version ?? 0
    for (const event of events) {
      if (event.version % EVENTS_PER_SIGN === 0) onProgress()
      if (event.version === 0 && event.type === CREATED) {
        state.creation = event.data as Creation
        continue
      }
      checkNext(stream, event, version)
      version = event.version
      if (!state.isPartitioned) continue
      const aggregate = event.metadata?.[AGGREGATE_KEY]
      if (isPartitionVersion(aggregate)) state.versions.set(keyOf(aggregate), aggregate.version)
    }
    return { state, version, newest }
  },
}

function fromSnapshot(data: unknown): StreamState {
  const { creation, versions } = data as { creation?: Creation; versions: readonly (string | number)[] }
  const byKey = new Map<string, number>()
  for (let i = 0; i < versions.length; i += 2) byKey.set(versions[i] as string, versions[i + 1] as number)
  return new StreamState(creation, byKey)
}

function decideAppend(message: CommandMessage, { state: given, version, limits }: Circumstances): Verdict {
  const state = given as StreamState
  const append = readAppend(message, limits)
  const { stream } = message
  if (append.isAggregates) throw unknownAggregate(streamType(stream))
  const exists = state.exists(version)
  const expected = append.create === undefined ? append.expected : 'no-stream'
  checkExpected(stream, expected, { version, exists })
  const created = exists ? undefined : creationOf(append)
  const isPartitioned = exists ? state.isPartitioned : created?.persistence === 'partitioned'
  const versions = isPartitioned ? nextVersions(stream, state, append.events) : checkUnguarded(stream, append.events)
  return {
    kind: 'events',
    events: append.events.map(decided),
    creation: created && { type: CREATED, data: created },
    next() {
      state.creation ??= created
      for (const [key, next] of versions) state.versions.set(key, next)
      return state
    },
  }
}

/** What is to be remembered of a stream that begins; undefined where its events say it all. */
function creationOf({ create, events }: Append): Creation | undefined {
  const persistence = events.some(({ aggregate }) => aggregate !== undefined) ? 'partitioned' : 'simple'
  const creation = create ?? { persistence, metadata: {} }
  const isPlain = creation.persistence === 'simple' && Object.keys(creation.metadata).length === 0
  return isPlain && events.length > 0 ? undefined : creation
}

/** The versions of the aggregates after these events. @throws PenholdError `ConcurrencyError` */
function nextVersions(
  stream: string,
  { versions }: StreamState,
  events: readonly NewEvent[],
): ReadonlyMap<string, number> {
  const next = new Map<string, number>()
  for (const { type, aggregate } of events) {
    if (aggregate === undefined) {
      throw appendRefused(
        stream,
        `it is partitioned, and '${type}' does not say whose it is; give aggregate: { type, id, version }`,
      )
    }
    const key = keyOf(aggregate)
    const actual = next.get(key) ?? versions.get(key) ?? 0
    if (aggregate.version !== actual + 1) throw partitionConcurrency(stream, aggregate, actual)
    next.set(key, aggregate.version)
  }
  return next
}

/** A simple stream guards nothing: whoever says whose an event is, and which, would count on it. */
function checkUnguarded(stream: string, events: readonly NewEvent[]): ReadonlyMap<string, number> {
  const guarded = events.find(({ aggregate }) => aggregate !== undefined)
  if (guarded !== undefined) {
    throw appendRefused(stream, `it is simple and checks no aggregate's versions; '${guarded.type}' names one`)
  }
  return new Map()
}

function decided({ type, data, id, metadata, aggregate }: NewEvent): DecidedEvent {
  return { type, data, id, metadata: aggregate === undefined ? metadata : { ...metadata, [AGGREGATE_KEY]: aggregate } }
}

function keyOf({ type, id }: Pick<PartitionVersion, 'type' | 'id'>): string {
  return `${type}/${id}`
}
