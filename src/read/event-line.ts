/** One line of an export, checked by itself: what of an event it says. */
import { isUtf8 } from 'node:buffer'
import { hashPlain } from '../aggregate/plain.ts'
import { encode } from '../log/codec.ts'
import { isCount } from '../log/count.ts'
import { isId, parseId } from '../log/identity.ts'
import type { EventParts } from '../log/new-log.ts'
import { POSITION_MAX } from '../log/position.ts'
import { sliceOf } from '../log/slice.ts'
import { idProblem, STREAM_BYTES_MAX } from '../log/stream.ts'
import { fromJson } from './event-json.ts'

/** What is wrong with a line. */
export class BadLine extends Error {
  override readonly name = 'BadLine'
}

export interface EventLine {
  readonly stream: string
  readonly parts: EventParts
}

const KEYS: readonly string[] = [
  'position',
  'id',
  'stream',
  'version',
  'time',
  'type',
  'typeVersion',
  'data',
  'metadata',
  'commandId',
  'payloadHash',
]
const NOTHING = new Uint8Array()
const TYPE_BYTES_MAX = 255

/** @throws BadLine */
export function readLine(bytes: Uint8Array): EventLine {
  const line = parse(bytes)
  const unknown = Object.keys(line).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) throw new BadLine(`there is no field '${unknown}'`)
  const { stream, type } = line
  if (typeof stream !== 'string' || !isStream(stream)) throw wrong('stream', stream, 'a text as account/NL-001')
  if (typeof type !== 'string' || type === '' || !type.isWellFormed() || Buffer.byteLength(type) > TYPE_BYTES_MAX) {
    throw wrong('type', type, 'a name')
  }
  return {
    stream,
    parts: {
      version: numberIn(line, 'version', { min: 1, max: 2 ** 32 - 1 }),
      position: numberIn(line, 'position', { min: 1, max: POSITION_MAX }),
      typeVersion: numberIn(line, 'typeVersion', { min: 1, max: 2 ** 16 - 1 }),
      payloadHash: numberIn(line, 'payloadHash', { min: 0, max: 2 ** 32 - 1 }),
      time: timeIn(line),
      eventId: idIn(line, 'id'),
      commandId: sliceOf(idIn(line, 'commandId')),
      type: Buffer.from(type),
      data: sliceOf(plainIn(line, 'data')),
      metadata: metadataIn(line),
    },
  }
}

type Line = Readonly<Record<string, unknown>>

function parse(bytes: Uint8Array): Line {
  if (!isUtf8(bytes)) throw new BadLine('it is no UTF-8')
  let line: unknown
  try {
    line = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch (error) {
    throw new BadLine(`it is no JSON: ${(error as Error).message}`)
  }
  if (typeof line !== 'object' || line === null || Array.isArray(line)) throw new BadLine('it is no JSON object')
  return line as Line
}

function isStream(name: string): boolean {
  const slash = name.indexOf('/')
  return slash > 0 && Buffer.byteLength(name) <= STREAM_BYTES_MAX && idProblem(name.slice(slash + 1)) === undefined
}

function numberIn(line: Line, key: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const value = line[key]
  if (!isCount(value) || value < min || value > max) throw wrong(key, value, `a whole number from ${min} to ${max}`)
  return value
}

function timeIn({ time }: Line): number {
  const ms = typeof time === 'string' ? Date.parse(time) : Number.NaN
  if (!isCount(ms) || new Date(ms).toISOString() !== time) throw wrong('time', time, 'one as 2026-03-01T12:00:00.000Z')
  return ms
}

function idIn(line: Line, key: string): Uint8Array {
  const value = line[key]
  if (typeof value !== 'string' || !isId(value)) throw wrong(key, value, 'a UUID')
  return parseId(value).bytes
}

function plainIn(line: Line, key: string): Uint8Array {
  if (!Object.hasOwn(line, key)) return NOTHING
  try {
    const value = fromJson(line[key])
    hashPlain(value, 0)
    return encode(value)
  } catch (error) {
    throw new BadLine(`its ${key} is no plain data: ${(error as Error).message}`)
  }
}

function metadataIn(line: Line): Uint8Array {
  const { metadata } = line
  if (metadata !== undefined && (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))) {
    throw wrong('metadata', metadata, 'an object')
  }
  return plainIn(line, 'metadata')
}

function wrong(key: string, value: unknown, wanted: string): BadLine {
  const given = value === undefined ? 'is missing' : `is ${JSON.stringify(value).slice(0, 80)}`
  return new BadLine(`its ${key} ${given}, and has to be ${wanted}`)
}
