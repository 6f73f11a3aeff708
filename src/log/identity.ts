/**
 * Ids of events and commands: UUIDs, 16 bytes in the log and text outside. Version 7 for new ones, version 5 for ones
 * derived from something that stays the same when a thing is tried again.
 */
import { hash } from 'node:crypto'
import { parse, v7, validate, version as versionOf } from 'uuid'
import { describe } from '../aggregate/error.ts'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'
import { sliceOf, type Slice } from './slice.ts'

/** The name space of derived ids: the UUIDv5 of `penhold` under the DNS name space. Never change it. */
const NAME_SPACE: Uint8Array = parse('1b3c7b88-f238-5f1e-8f17-757246fc9961')
const POOL_BYTES = 4096
const ID_BYTES = 16
/** Where the name space stands, and what an id is derived from behind it. */
const derived = Buffer.concat([NAME_SPACE], 1024)

/** Makes UUIDv7s from the clock and a pool of random bytes: asking for chance once an id would cost 2.6 µs each. */
export class IdSource {
  readonly #clock: Clock
  readonly #random: Random
  readonly #pool = new Uint8Array(POOL_BYTES)
  #used = POOL_BYTES
  /** What the next id is made from: objects of its own for each id would cost more than the id. */
  readonly #seed = { msecs: 0, random: new Uint8Array(ID_BYTES) }
  /** Ids that were handed out stand here and are never written again. */
  #page = new Uint8Array(POOL_BYTES)
  #pageUsed = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Writes a new id into 16 bytes. `now` is the time where the caller has just read it. */
  write(into: Uint8Array, offset: number, now: number = this.#clock.now()): void {
    v7(this.#newSeed(now), into, offset)
  }

  /** A new id in bytes. */
  nextSlice(): Slice {
    if (this.#pageUsed === POOL_BYTES) {
      this.#page = new Uint8Array(POOL_BYTES)
      this.#pageUsed = 0
    }
    const start = this.#pageUsed
    this.#pageUsed += ID_BYTES
    this.write(this.#page, start)
    return { bytes: this.#page, start, end: this.#pageUsed }
  }

  /** A new id in text. */
  next(): string {
    return v7(this.#newSeed(this.#clock.now()))
  }

  /** A number from 0 up to, not including, 1, with 32 random bits. */
  fraction(): number {
    const at = this.#take(4)
    const pool = this.#pool
    return (pool[at]! * 2 ** 24 + pool[at + 1]! * 2 ** 16 + pool[at + 2]! * 2 ** 8 + pool[at + 3]!) / 2 ** 32
  }

  #newSeed(now: number): { readonly msecs: number; readonly random: Uint8Array } {
    const at = this.#take(ID_BYTES)
    const { random } = this.#seed
    for (let i = 0; i < ID_BYTES; i += 1) random[i] = this.#pool[at + i]!
    this.#seed.msecs = now
    return this.#seed
  }

  /** Uses up so many random bytes and returns where they stand in the pool. */
  #take(length: number): number {
    if (this.#used + length > POOL_BYTES) {
      this.#random.fill(this.#pool)
      this.#used = 0
    }
    this.#used += length
    return this.#used - length
  }
}

/**
 * An id that is the same whenever it is derived from the same parts: for commands that may be sent again by a program
 * that has forgotten that it sent them.
 *
 * @example deriveId('incident', row.number, row.line)
 * @throws TypeError for a part that is no text and no number: NaN, and what is missing, would all be the same
 */
export function deriveId(...parts: readonly (string | number)[]): string {
  for (const part of parts) if (typeof part !== 'string' && !Number.isFinite(part)) throw noPart(part)
  const json = JSON.stringify(parts)
  // Reactors and outboxes pay for it with each event: bytes that are there and one call take a third of what a UUID library does.
  const bytesMax = ID_BYTES + 3 * json.length
  const bytes = bytesMax <= derived.length ? derived : Buffer.concat([NAME_SPACE], bytesMax)
  const end = ID_BYTES + bytes.write(json, ID_BYTES)
  const id = hash('sha1', bytes.subarray(0, end), 'buffer')
  id[6] = (id[6]! & 0x0f) | 0x50
  id[8] = (id[8]! & 0x3f) | 0x80
  return formatId({ bytes: id, start: 0 })
}

function noPart(part: unknown): TypeError {
  return new TypeError(
    `an id is derived from texts and numbers, and ${describe(part)} is neither; give what tells it from others`,
  )
}

export function isId(text: string): boolean {
  return validate(text)
}

/** When an id of version 7 was made, in milliseconds since 1970, by the clock of whoever made it; undefined for others. */
export function timeOfId(text: string): number | undefined {
  return versionOf(text) === 7 ? Number.parseInt(text.replace('-', '').slice(0, 12), 16) : undefined
}

/** Whether 16 bytes are an id: of a version and variant that UUIDs have, or all zeroes, or all ones. */
export function isIdAt(bytes: Uint8Array, start: number): boolean {
  const version = bytes[start + 6]! >>> 4
  if (version >= 1 && version <= 8 && bytes[start + 8]! >>> 6 === 2) return true
  const [first] = bytes.subarray(start)
  return (first === 0 || first === 0xff) && bytes.subarray(start, start + ID_BYTES).every((byte) => byte === first)
}

const DIGITS = '0123456789abcdef'
/** By byte: the codes of its two digits. */
const HIGH = Uint8Array.from({ length: 256 }, (_, byte) => DIGITS.charCodeAt(byte >>> 4))
const LOW = Uint8Array.from({ length: 256 }, (_, byte) => DIGITS.charCodeAt(byte & 15))
const DASH = '-'.charCodeAt(0)

/**
 * The id in text; `start` is where its 16 bytes begin. Each event that is read has two: made in one call within JavaScript
 * it costs a tenth of what a checked conversion does, so that whatever the bytes are gets a text.
 */
export function formatId({ bytes, start }: Pick<Slice, 'bytes' | 'start'>): string {
  const a = bytes[start]!
  const b = bytes[start + 1]!
  const c = bytes[start + 2]!
  const d = bytes[start + 3]!
  const e = bytes[start + 4]!
  const f = bytes[start + 5]!
  const g = bytes[start + 6]!
  const h = bytes[start + 7]!
  const i = bytes[start + 8]!
  const j = bytes[start + 9]!
  const k = bytes[start + 10]!
  const l = bytes[start + 11]!
  const m = bytes[start + 12]!
  const n = bytes[start + 13]!
  const o = bytes[start + 14]!
  const p = bytes[start + 15]!
  // prettier-ignore
  return String.fromCharCode(
    HIGH[a]!, LOW[a]!, HIGH[b]!, LOW[b]!, HIGH[c]!, LOW[c]!, HIGH[d]!, LOW[d]!, DASH,
    HIGH[e]!, LOW[e]!, HIGH[f]!, LOW[f]!, DASH,
    HIGH[g]!, LOW[g]!, HIGH[h]!, LOW[h]!, DASH,
    HIGH[i]!, LOW[i]!, HIGH[j]!, LOW[j]!, DASH,
    HIGH[k]!, LOW[k]!, HIGH[l]!, LOW[l]!, HIGH[m]!, LOW[m]!,
    HIGH[n]!, LOW[n]!, HIGH[o]!, LOW[o]!, HIGH[p]!, LOW[p]!,
  )
}

export function parseId(text: string): Slice {
  return sliceOf(parse(text))
}
