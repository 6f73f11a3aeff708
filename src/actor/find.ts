/** Finding the version that a stream was at: at a position, a time, or an event of it. */
import { isCount } from '../log/count.ts'
import { isId, parseId } from '../log/identity.ts'
import type { Log } from '../log/log.ts'
import { RecordKind, type LogRecord } from '../log/record.ts'
import type { Stream } from '../log/stream.ts'
import { readRefused } from './error.ts'
import type { QueryMessage } from './message.ts'
import { decodeMark, encodeMark, type Mark } from './page.ts'
import type { StreamPlaces } from './stream-places.ts'

/** The newest event whose position or time is no greater, or this event. */
export type FindRequest = { readonly position: number } | { readonly time: number } | { readonly eventId: string }

/** @throws PenholdError `BadPayload` */
export function readFindRequest({ payload, stream }: QueryMessage): FindRequest {
  const [[key, value] = ['', undefined], ...others] = Object.entries(payload ?? {})
  if (others.length === 0) {
    if (key === 'position' && isCount(value)) return { position: value }
    if (key === 'time' && isCount(value)) return { time: value }
    if (key === 'eventId' && typeof value === 'string' && isId(value)) return { eventId: value }
  }
  throw readRefused(stream, 'what was asked for is no position, time or event id')
}

/** The version and where it stands; nothing where the stream was not there then. */
export async function find(
  log: Log,
  stream: Stream,
  { request, places }: { readonly request: FindRequest; readonly places: StreamPlaces },
): Promise<unknown> {
  const isThere = matcher(request)
  let found: Mark | undefined
  await log.walk(stream, undefined, (record) => {
    if (record.kind !== RecordKind.event || record.version === 0) return true
    places.pass(stream.name, record)
    if (!isThere(record)) return true
    found = { version: record.version, address: record.address }
    return false
  })
  return encodeMark(found)
}

/** Undefined where the stream was not there; `'strange'` where that is no answer. */
export function decodeFound(value: unknown): Mark | undefined | 'strange' {
  return value === undefined || value === null ? undefined : (decodeMark(value) ?? 'strange')
}

function matcher(request: FindRequest): (record: LogRecord) => boolean {
  if ('position' in request) return ({ position }) => position <= request.position
  if ('time' in request) return ({ time }) => time <= request.time
  const id = parseId(request.eventId).bytes
  return ({ eventId }) => Buffer.compare(eventId, id) === 0
}
