/**
 * Reading MessagePack, strictly: what comes out is plain data (aggregate/plain.ts), or BadEncoding is thrown. So that
 * nobody need trust what stands in a file or comes from a peer: no extension types, keys are strings and never
 * `__proto__`, texts are valid UTF-8, depth and number of values keep within plain data's bounds, nothing is
 * allocated that the bytes at hand cannot fill, and the value ends where its bytes end.
 *
 * Why this is not msgpackr, which writes: docs/decisions/strict-decoder.md.
 */
import { isUtf8 } from 'node:buffer'
import { DEPTH_MAX, VALUES_MAX } from '../aggregate/plain.ts'
import { shortText } from './short-text.ts'
import { TextCache } from './text-cache.ts'

/** The bytes are not plain data in MessagePack. */
export class BadEncoding extends Error {
  override readonly name = 'BadEncoding'
}

/** The value encoded in a part of a buffer, in memory of its own. @throws BadEncoding */
export function decode(bytes: Uint8Array, start = 0, stop: number = bytes.length): unknown {
  // In variables of the module, because passing them along or keeping them in an object takes half as long again.
  source = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  at = start
  end = Math.min(stop, bytes.length)
  depth = 0
  valuesLeft = VALUES_MAX
  const value = readValue()
  if (at !== end) fail(`the value ends ${end - at} bytes before its end`)
  source = NOTHING
  return value
}

const NOTHING = Buffer.alloc(0)
let source: Buffer = NOTHING
let at = 0
let end = 0
let depth = 0
let valuesLeft = 0

const keys = new TextCache(4096)
const double = new Float64Array(1)
const doubleWords = new Int32Array(double.buffer)

function fail(problem: string): never {
  const message = `these bytes are not plain data in MessagePack: ${problem} (byte ${at})`
  source = NOTHING
  throw new BadEncoding(message)
}

function readValue(): unknown {
  const tag = source[take(1)]!
  if (tag < 0x80) return tag
  if (tag < 0x90) return readMap(tag & 0x0f)
  if (tag < 0xa0) return readArray(tag & 0x0f)
  if (tag < 0xc0) return readText(tag & 0x1f)
  return tag < 0xe0 ? readTagged(tag) : tag - 0x100
}

function readTagged(tag: number): unknown {
  switch (tag) {
    case 0xc0:
      return null
    case 0xc2:
      return false
    case 0xc3:
      return true
    case 0xc4:
      return readBytes(u8())
    case 0xc5:
      return readBytes(u16())
    case 0xc6:
      return readBytes(u32())
    case 0xd9:
      return readText(u8())
    case 0xda:
      return readText(u16())
    case 0xdb:
      return readText(u32())
    case 0xdc:
      return readArray(u16())
    case 0xdd:
      return readArray(u32())
    case 0xde:
      return readMap(u16())
    case 0xdf:
      return readMap(u32())
    default:
      return readNumber(tag)
  }
}

function readNumber(tag: number): number | bigint {
  switch (tag) {
    case 0xca:
      return source.readFloatBE(take(4))
    case 0xcb:
      return readDouble()
    case 0xcc:
      return u8()
    case 0xcd:
      return u16()
    case 0xce:
      return u32()
    case 0xcf:
      return source.readBigUInt64BE(take(8))
    case 0xd0:
      return (u8() << 24) >> 24
    case 0xd1:
      return (u16() << 16) >> 16
    case 0xd2:
      return u32() | 0
    case 0xd3:
      return source.readBigInt64BE(take(8))
    default:
      return fail(`0x${tag.toString(16)} begins no value`)
  }
}

/** Plain loads and stores: a DataView's or a Buffer's reading takes longer. */
function readDouble(): number {
  const from = take(8)
  const bytes = source
  doubleWords[1] = (bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!
  doubleWords[0] = (bytes[from + 4]! << 24) | (bytes[from + 5]! << 16) | (bytes[from + 6]! << 8) | bytes[from + 7]!
  return double[0]!
}

function readArray(length: number): unknown[] {
  enter(length, 1)
  // oxlint-disable-next-line unicorn/no-new-array -- a third faster than growing, and `enter` has bounded it
  const values = new Array<unknown>(length)
  for (let i = 0; i < length; i += 1) values[i] = readValue()
  depth -= 1
  return values
}

function readMap(size: number): Record<string, unknown> {
  enter(size, 2)
  const map: Record<string, unknown> = {}
  for (let i = 0; i < size; i += 1) {
    const key = readKey()
    if (key === '__proto__') fail(`a key is '__proto__'`)
    map[key] = readValue()
  }
  depth -= 1
  return map
}

/** Into an array or a map of so many values, of which each takes at least so many bytes. */
function enter(values: number, bytesEach: number): void {
  if (values * bytesEach > end - at) fail(`${values} values cannot stand in ${end - at} bytes`)
  valuesLeft -= values
  if (valuesLeft < 0) fail(`there are more than ${VALUES_MAX} values`)
  depth += 1
  if (depth > DEPTH_MAX) fail(`it is nested deeper than ${DEPTH_MAX}`)
}

function readKey(): string {
  const tag = source[take(1)]!
  const length = tag >= 0xa0 && tag < 0xc0 ? tag & 0x1f : longKeyLength(tag)
  const from = take(length)
  return keys.text(source, from, at) ?? fail('a key is no UTF-8')
}

function longKeyLength(tag: number): number {
  if (tag === 0xd9) return u8()
  if (tag === 0xda) return u16()
  return tag === 0xdb ? u32() : fail('a key is no text')
}

/** What is not short plain ASCII is checked and made outside of JavaScript. */
function readText(length: number): string {
  const from = take(length)
  return shortText(source, from, at) ?? longText(from)
}

function longText(from: number): string {
  if (!isUtf8(source.subarray(from, at))) fail('a text is no UTF-8')
  return source.toString('utf8', from, at)
}

function readBytes(length: number): Uint8Array {
  const from = take(length)
  const bytes = new Uint8Array(length)
  bytes.set(source.subarray(from, at))
  return bytes
}

function u8(): number {
  return source[take(1)]!
}

function u16(): number {
  const from = take(2)
  return (source[from]! << 8) | source[from + 1]!
}

function u32(): number {
  const from = take(4)
  return ((source[from]! << 24) | (source[from + 1]! << 16) | (source[from + 2]! << 8) | source[from + 3]!) >>> 0
}

function take(length: number): number {
  const from = at
  if (length > end - from) fail('it ends within a value')
  at = from + length
  return from
}
