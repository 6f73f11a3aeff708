/**
 * Ids of events and commands: UUIDs, 16 bytes in the log and text outside. Version 7 for new ones, version 5 for ones
 * derived from something that stays the same when a thing is tried again.
 */
import { parse, stringify, v5, v7, validate } from 'uuid'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'
import { sliceOf, type Slice } from './slice.ts'

/** The name space of derived ids: the UUIDv5 of `penhold` under the DNS name space. Never change it. */
const NAME_SPACE = '1b3c7b88-f238-5f1e-8f17-757246fc9961'
const POOL_BYTES = 4096

/** Makes UUIDv7s from the clock and a pool of random bytes: asking for chance once an id would cost 2.6 µs each. */
export class IdSource {
  readonly #clock: Clock
  readonly #random: Random
  readonly #pool = new Uint8Array(POOL_BYTES)
  #used = POOL_BYTES

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Writes a new id into 16 bytes. `now` is the time where the caller has just read it. */
  write(into: Uint8Array, offset: number, now: number = this.#clock.now()): void {
    v7({ msecs: now, random: this.#take(16) }, into, offset)
  }

  next(): string {
    return v7({ msecs: this.#clock.now(), random: this.#take(16) })
  }

  /** A number from 0 up to, not including, 1, with 32 random bits. */
  fraction(): number {
    const bytes = this.#take(4)
    return (bytes[0]! * 2 ** 24 + bytes[1]! * 2 ** 16 + bytes[2]! * 2 ** 8 + bytes[3]!) / 2 ** 32
  }

  #take(length: number): Uint8Array {
    if (this.#used + length > POOL_BYTES) {
      this.#random.fill(this.#pool)
      this.#used = 0
    }
    this.#used += length
    return this.#pool.subarray(this.#used - length, this.#used)
  }
}

/**
 * An id that is the same whenever it is derived from the same parts: for commands that may be sent again by a program
 * that has forgotten that it sent them.
 *
 * @example deriveId('incident', row.number, row.line)
 */
export function deriveId(...parts: readonly (string | number)[]): string {
  return v5(JSON.stringify(parts), NAME_SPACE)
}

export function isId(text: string): boolean {
  return validate(text)
}

/** The id in text; `start` is where its 16 bytes begin. */
export function formatId({ bytes, start }: Pick<Slice, 'bytes' | 'start'>): string {
  return stringify(bytes, start)
}

export function parseId(text: string): Slice {
  return sliceOf(parse(text))
}
