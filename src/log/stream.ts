/**
 * Naming streams: `type/id`, its 64-bit hash and the shard the hash puts it in.
 *
 * The hash finds records; it never stands for the name. Two streams that share a hash share a chain in the log, and
 * readers pass over the other's records; only one of them is active at a time. So a collision costs time and nothing else. It is seeded with the cluster's
 * id, so that nobody outside can prepare ids that collide.
 */

/** A stream's name in UTF-8 may be so long at most. */
export const STREAM_BYTES_MAX = 512

export interface StreamHash {
  readonly high: number
  readonly low: number
}

export interface Stream {
  /** `type/id`. */
  readonly name: string
  readonly bytes: Uint8Array
  readonly hash: StreamHash
  readonly shard: number
}

const encoder = new TextEncoder()

export function streamName(type: string, id: string): string {
  return `${type}/${id}`
}

/** The aggregate's type; the id is what follows the slash. */
export function streamType(name: string): string {
  return name.slice(0, name.indexOf('/'))
}

/**
 * The id of the aggregate whose event it is: what stands in its stream's name (`type/id`) behind the type.
 *
 * @example correlate: { OrderPlaced: idOf }
 */
export function idOf({ stream }: { readonly stream: string }): string {
  return stream.slice(stream.indexOf('/') + 1)
}

/** Whether a stream, or a category, is Penhold's own: nobody can name it, and whoever reads everything passes over it. */
export function isInternal(name: string): boolean {
  return name.startsWith('$')
}

const CATEGORY = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/** What is wrong with the name of a stream; undefined where nothing is. */
export function streamProblem(name: unknown): string | undefined {
  if (typeof name !== 'string') return `a stream's name is a string, not ${name === null ? 'null' : typeof name}`
  const category = name.includes('/') ? streamType(name) : ''
  if (!CATEGORY.test(category)) {
    return `'${name.slice(0, 100)}' is no stream's name: give category/id, the category of 1 to 64 letters, digits, '-' and '_', a letter first`
  }
  return idProblem(name.slice(category.length + 1))
}

/** What is wrong with an aggregate's id; undefined where nothing is. */
export function idProblem(id: unknown): string | undefined {
  if (typeof id !== 'string') return `an aggregate's id is a string, not ${id === null ? 'null' : typeof id}`
  if (id === '') return "an aggregate's id is empty"
  if (id.length > STREAM_BYTES_MAX || Buffer.byteLength(id) > STREAM_BYTES_MAX - 66) {
    return `an aggregate's id takes up to ${STREAM_BYTES_MAX - 66} bytes of UTF-8`
  }
  if (!id.isWellFormed()) return "an aggregate's id has a lone surrogate and is no valid text"
  if (id.normalize('NFC') !== id) return "an aggregate's id is not in Unicode's normal form; call .normalize() on it"
  // oxlint-disable-next-line no-control-regex -- control characters are what this refuses
  if (/[\u0000-\u001f\u007f]/.test(id)) return "an aggregate's id has a control character"
  return undefined
}

/** Puts streams into shards, the same way for the life of the data. */
export class StreamPlacement {
  readonly shards: number
  readonly #seed: number

  /** `clusterId` seeds the hash; `shards` is fixed when the data directory is made. */
  constructor(clusterId: string, shards: number) {
    this.shards = shards
    this.#seed = hash64(clusterId, 0x9e3779b9).low
  }

  shardOf(name: string): number {
    return hash64(name, this.#seed).low % this.shards
  }

  stream(name: string): Stream {
    const hash = hash64(name, this.#seed)
    return { name, bytes: encoder.encode(name), hash, shard: hash.low % this.shards }
  }
}

const START_A = 0xdeadbeef
const START_B = 0x41c6ce57
const FACTOR_A = 2654435761
const FACTOR_B = 1597334677

/** Two interleaved 32-bit lanes over UTF-16 units, after cyrb53 (bryc, public domain), with all 64 bits kept. */
export function hash64(text: string, seed: number): StreamHash {
  return hashOn(START_A ^ seed, START_B ^ seed, text)
}

/** The `hash64` of texts that begin alike, by what comes behind: the beginning is read once. */
export function hash64After(beginning: string, seed: number): (rest: string) => StreamHash {
  const a = lane(beginning, START_A ^ seed, FACTOR_A)
  const b = lane(beginning, START_B ^ seed, FACTOR_B)
  return (rest) => hashOn(a, b, rest)
}

function hashOn(startA: number, startB: number, text: string): StreamHash {
  let a = startA
  let b = startB
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, FACTOR_A)
    b = Math.imul(b ^ unit, FACTOR_B)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return { high: b >>> 0, low: a >>> 0 }
}

function lane(text: string, start: number, factor: number): number {
  let state = start
  for (let i = 0; i < text.length; i += 1) state = Math.imul(state ^ text.charCodeAt(i), factor)
  return state
}
