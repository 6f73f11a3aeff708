/** What is to be read, as plain data: what a store makes of its options, and what a client sends to a node. */
import { badPayload } from '../cluster/error.ts'
import type { ReadingPlace, ReadingRequest } from '../cluster/reading-frames.ts'
import { isCount } from '../log/count.ts'
import { filterProblem, type EventFilter } from '../log/event-filter.ts'
import { isId } from '../log/identity.ts'
import { POSITION_MAX } from '../log/position.ts'
import { streamProblem } from '../log/stream.ts'
import type { Range, Wish } from './read-options.ts'

/** Everything, or some of it. */
export interface AllRequest extends Range, Wish {
  /** On and on; otherwise to the end that there is when it begins. */
  readonly isLive: boolean
}

/** One stream, on and on. */
export interface StreamRequest {
  readonly stream: string
  /** Behind which version. */
  readonly after: number
  /** Its types are the names by which events were recorded. */
  readonly filter: EventFilter | undefined
}

const ALL_KEYS = ['after', 'mayBeAhead', 'until', 'untilEvent', 'streams', 'filter', 'isLive']
const STREAM_KEYS = ['stream', 'after', 'filter']
const SHARD_LAST = 0xffff

export function encodeAllRequest({ after, until, ...rest }: AllRequest): ReadingRequest {
  const numbers = ({ position, shard }: ReadingPlace): number[] => [position, shard]
  return { ...rest, after: numbers(after), until: until && numbers(until) }
}

export function encodeStreamRequest(request: StreamRequest): ReadingRequest {
  return { ...request }
}

/** @throws PenholdError `BadPayload` */
export function decodeAllRequest(request: ReadingRequest): AllRequest {
  checkKeys(request, ALL_KEYS)
  const { after, mayBeAhead, until, untilEvent, streams, filter, isLive } = request
  if (typeof mayBeAhead !== 'boolean' || typeof isLive !== 'boolean') throw noRequest('it does not say to which end')
  if (untilEvent !== undefined && !(typeof untilEvent === 'string' && isId(untilEvent))) {
    throw noRequest('its last event has no id')
  }
  if (streams !== undefined && !(Array.isArray(streams) && streams.every((one) => typeof one === 'string'))) {
    throw noRequest('its categories are no texts')
  }
  const place = placeOf(after)
  const end = until === undefined ? undefined : placeOf(until)
  if (place === undefined || (until !== undefined && end === undefined)) throw noRequest('a place is none')
  return { after: place, mayBeAhead, until: end, untilEvent, streams, filter: filterOf(filter), isLive }
}

/** @throws PenholdError `BadPayload` */
export function decodeStreamRequest(request: ReadingRequest): StreamRequest {
  checkKeys(request, STREAM_KEYS)
  const { stream, after, filter } = request
  const problem = streamProblem(stream)
  if (problem !== undefined) throw noRequest(problem)
  if (!isCount(after)) throw noRequest('it does not say behind which version')
  return { stream: stream as string, after, filter: filterOf(filter) }
}

function placeOf(value: unknown): ReadingPlace | undefined {
  if (!Array.isArray(value) || value.length !== 2 || !value.every(isCount)) return undefined
  const [position, shard] = value as [number, number]
  return position <= POSITION_MAX && shard <= SHARD_LAST ? { position, shard } : undefined
}

function filterOf(filter: unknown): EventFilter | undefined {
  const problem = filter === undefined ? undefined : filterProblem(filter)
  if (problem !== undefined) throw noRequest(problem)
  return filter as EventFilter | undefined
}

/** What a later version adds must not be passed over. */
function checkKeys(request: ReadingRequest, known: readonly string[]): void {
  const unknown = Object.keys(request).find((key) => !known.includes(key))
  if (unknown !== undefined) throw noRequest(`it has '${unknown}', which this node does not know`)
}

function noRequest(problem: string): Error {
  return badPayload('what a client would read', problem)
}
