/**
 * Writing and reading the bytes of a frame: little-endian numbers, texts and byte runs with their lengths before them.
 * Reading checks every length against what is there.
 */
import { assert } from '../aggregate/assert.ts'
import { isCount } from '../log/count.ts'
import type { Slice } from '../log/slice.ts'
import { TextCache } from '../log/text-cache.ts'

const FIRST_CAPACITY = 16 * 1024

export class FrameWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY)
  #length = 0

  u8(value: number): void {
    this.#ensure(1)
    this.#bytes[this.#length] = value
    this.#length += 1
  }

  u32(value: number): void {
    this.#ensure(4)
    const bytes = this.#bytes
    const at = this.#length
    // Four plain stores: a DataView's take ten times as long.
    bytes[at] = value
    bytes[at + 1] = value >>> 8
    bytes[at + 2] = value >>> 16
    bytes[at + 3] = value >>> 24
    this.#length = at + 4
  }

  f64(value: number): void {
    double[0] = value
    this.u32(doubleWords[0]!)
    this.u32(doubleWords[1]!)
  }

  /** Bytes whose number the reader knows. */
  raw({ bytes, start, end }: Slice): void {
    const length = end - start
    this.#ensure(length)
    // Short runs are copied faster by a loop than by a call out of JavaScript.
    if (length > 96) this.#bytes.set(bytes.subarray(start, end), this.#length)
    else for (let i = 0; i < length; i += 1) this.#bytes[this.#length + i] = bytes[start + i]!
    this.#length += length
  }

  slice(slice: Slice): void {
    this.u32(slice.end - slice.start)
    this.raw(slice)
  }

  /** A text of up to 65,535 bytes. */
  text(text: string): void {
    this.#ensure(2 + text.length * 3)
    const at = this.#length + 2
    const length = writeText(this.#bytes, at, text)
    assert(length <= 0xffff, 'a text in a frame takes up to 65,535 bytes')
    this.#bytes[this.#length] = length
    this.#bytes[this.#length + 1] = length >>> 8
    this.#length = at + length
  }

  get length(): number {
    return this.#length
  }

  /** Forgets what was written since the frame had this length. */
  cutTo(length: number): void {
    this.#length = length
  }

  /** The frame so far, in memory of its own; the writer begins anew. */
  take(): Uint8Array<ArrayBuffer> {
    const frame = this.#bytes.slice(0, this.#length)
    this.#length = 0
    return frame
  }

  #ensure(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    let capacity = this.#bytes.length
    while (capacity < this.#length + more) capacity *= 2
    const grown = new Uint8Array(capacity)
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

/** Most names and ids are short and plain ASCII, for which a loop is quickest. */
function writeText(into: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return encoder.encodeInto(text, into.subarray(at)).written
    into[at + i] = unit
  }
  return text.length
}

const double = new Float64Array(1)
const doubleWords = new Uint32Array(double.buffer)
const encoder = new TextEncoder()
/** Names of streams and of commands. */
const names = new TextCache(8192)

/** The frame is not what a peer of this version writes. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame'
}

export class FrameReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(frame: Uint8Array) {
    this.#bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }
  u32(): number {
    const at = this.#take(4)
    const bytes = this.#bytes
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  }
  f64(): number {
    doubleWords[0] = this.u32()
    doubleWords[1] = this.u32()
    return double[0]!
  }
  /** A whole number from 0 up that is exact. */
  count(): number {
    const value = this.f64()
    if (isCount(value)) return value
    throw new BadFrame('a number in a frame counts nothing')
  }
  text(): string {
    const head = this.#take(2)
    const length = this.#bytes[head]! | (this.#bytes[head + 1]! << 8)
    const at = this.#take(length)
    const text = names.text(this.#bytes, at, at + length)
    if (text === undefined) throw new BadFrame('a text in a frame is no UTF-8')
    return text
  }
  rawSlice(length: number): Slice {
    const start = this.#take(length)
    return { bytes: this.#bytes, start, end: start + length }
  }
  slice(): Slice {
    return this.rawSlice(this.u32())
  }

  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length)
      throw new BadFrame(`a frame of ${this.#bytes.length} bytes ends within a field`)
    this.#at = at + length
    return at
  }
}
