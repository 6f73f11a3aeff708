/**
 * Texts that come again and again as bytes: names of events, commands and streams. Making a text takes longer than
 * comparing its bytes with those of one that is at hand, and a text that is the same object is found faster in maps.
 */
import { isUtf8 } from 'node:buffer'

interface Entry {
  readonly bytes: Uint8Array
  readonly text: string
}

/** Longer texts are made anew each time. */
const CACHED_BYTES_MAX = 64

export class TextCache {
  readonly #entries: (Entry | undefined)[]
  readonly #mask: number

  /** Remembers up to `size` texts, a power of two. Those that fall on the same place displace each other. */
  constructor(size: number) {
    this.#entries = Array.from({ length: size })
    this.#mask = size - 1
  }

  /** The text of bytes in UTF-8; undefined where that is not what they are. */
  text(bytes: Buffer, start: number, end: number): string | undefined {
    if (end - start > CACHED_BYTES_MAX) return textOf(bytes, start, end)
    const slot = hashOf(bytes, start, end) & this.#mask
    const entry = this.#entries[slot]
    if (entry !== undefined && isSame(entry.bytes, bytes, start, end)) return entry.text
    const made = textOf(bytes, start, end)
    if (made === undefined) return undefined
    // The engine's own copy, by which objects and maps know it: each use of another is a search for that one.
    const text = Object.keys({ [made]: 0 })[0]!
    this.#entries[slot] = { bytes: Uint8Array.prototype.slice.call(bytes, start, end), text }
    return text
  }
}

function textOf(bytes: Buffer, start: number, end: number): string | undefined {
  return isUtf8(bytes.subarray(start, end)) ? bytes.toString('utf8', start, end) : undefined
}

/** Four bytes a step: a step waits for the one before it. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  let i = start
  for (; i + 4 <= end; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    hash = Math.imul(hash ^ word, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  for (; i < end; i += 1) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash ^ (hash >>> 15)
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false
  for (let i = start; i < end; i += 1) if (known[i - start] !== bytes[i]) return false
  return true
}
