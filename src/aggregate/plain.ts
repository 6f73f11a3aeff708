/**
 * Plain data: what a payload or an event's data may be made of, so that it reads back from the log just as it was
 * written: null, booleans, numbers, well-formed strings, 64-bit bigints, byte arrays, arrays and plain objects.
 * Keys whose value is undefined count as absent. Depth and number of values have a bound.
 *
 * The same walk makes the payload's hash, which tells a repeated command id with another payload from a real retry.
 * It does not depend on the order of keys.
 */

/** Deeper data is refused: it would endanger the stack of whoever reads it. */
export const DEPTH_MAX = 64
/** Data of more values, counted through all its arrays and objects, is refused: a few bytes would take much memory. */
export const VALUES_MAX: number = 1024 * 1024

/** Of a long path to what is not plain the first steps and the last are shown: one that holds itself has no end. */
const STEPS_SHOWN = 4

/** A value that is not plain data, with the path that leads to it. */
export class NotPlain extends Error {
  override readonly name = 'NotPlain'
  readonly #problem: string
  /** From the inside out. */
  readonly #steps: string[] = []

  constructor(problem: string) {
    super()
    this.#problem = problem
  }

  override get message(): string {
    const steps = this.#steps.toReversed()
    const hidden = steps.length - 2 * STEPS_SHOWN
    if (hidden > 0) steps.splice(STEPS_SHOWN, hidden, ' … ')
    return steps.join('') + this.#problem
  }

  /** The same problem, told from one level further out. */
  at(step: string): this {
    this.#steps.push(step)
    return this
  }
}

const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)
let valuesLeft = 0

/** The hash of plain data, an unsigned 32-bit integer. @throws NotPlain */
export function hashPlain(value: unknown, seed: number): number {
  valuesLeft = VALUES_MAX
  return finish(value === undefined ? mix(seed, 1) : hashValue(value, seed, 0)) >>> 0
}

/** How many bytes plain data takes when it is encoded, at most. */
export function plainBytes(value: unknown): number {
  if (typeof value === 'string') return textBytes(value)
  if (typeof value !== 'object' || value === null) return 9
  if (value instanceof Uint8Array) return value.length + 5
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + plainBytes(item), 5)
  let sum = 5
  for (const key in value) sum += textBytes(key) + plainBytes((value as Record<string, unknown>)[key])
  return sum
}

/** Counting the bytes of a short text costs more than assuming the most. */
function textBytes(text: string): number {
  return (text.length < 64 ? text.length * 3 : Buffer.byteLength(text)) + 5
}

/** Whether a string is free of lone surrogates, and so survives UTF-8. Returns its hash. @throws NotPlain */
function hashString(text: string, seed: number): number {
  if (!text.isWellFormed()) throw new NotPlain(': a string with a lone surrogate')
  let hash = mix(seed, text.length)
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}

function hashValue(value: unknown, seed: number, depth: number): number {
  switch (typeof value) {
    case 'string':
      return hashString(value, seed ^ 0x51)
    case 'number':
      float[0] = value
      return mix(mix(seed ^ 0x52, words[0]!), words[1]!)
    case 'boolean':
      return mix(seed ^ 0x53, value ? 1 : 0)
    case 'bigint':
      return hashBigint(value, seed)
    case 'object':
      return value === null ? mix(seed, 0x54) : hashObject(value, seed, depth)
    case 'undefined':
    case 'function':
    case 'symbol':
      throw new NotPlain(`: ${value === undefined ? 'undefined' : `a ${typeof value}`}`)
  }
}

function hashBigint(value: bigint, seed: number): number {
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new NotPlain(': a bigint of more than 64 bits')
  return mix(mix(seed ^ 0x55, Number(value & 0xffffffffn)), Number((value >> 32n) & 0xffffffffn))
}

function hashObject(value: object, seed: number, depth: number): number {
  if (depth === DEPTH_MAX) throw new NotPlain(`: nested deeper than ${DEPTH_MAX}, or it holds itself`)
  if (Array.isArray(value)) return hashArray(value, seed, depth)
  if (value instanceof Uint8Array) return value.reduce(mix, seed ^ 0x56)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new NotPlain(`: an instance of ${value.constructor?.name ?? 'a class'}${hint(value)}`)
  }
  // Keys are combined by addition, so that their order does not matter.
  let sum = seed ^ 0x57
  const keys = Object.keys(value)
  count(keys.length)
  for (const key of keys) {
    const item = (value as Record<string, unknown>)[key]
    if (item === undefined) continue
    if (key === '__proto__') throw new NotPlain(`: the key '__proto__'`)
    try {
      sum = (sum + finish(hashValue(item, hashString(key, 0x811c9dc5), depth + 1))) | 0
    } catch (error) {
      throw at(`.${key}`, error)
    }
  }
  return sum
}

function hashArray(values: readonly unknown[], seed: number, depth: number): number {
  count(values.length)
  let hash = mix(seed ^ 0x58, values.length)
  for (let i = 0; i < values.length; i += 1) {
    try {
      hash = hashValue(values[i], hash, depth + 1)
    } catch (error) {
      throw at(`[${i}]`, error)
    }
  }
  return hash
}

function count(values: number): void {
  valuesLeft -= values
  if (valuesLeft < 0) throw new NotPlain(`: more than ${VALUES_MAX} values`)
}

function hint(value: object): string {
  if (value instanceof Date) return '; give an ISO string or milliseconds'
  return value instanceof Map || value instanceof Set ? '; give an array or a plain object' : ''
}

function at(step: string, error: unknown): unknown {
  return error instanceof NotPlain ? error.at(step) : error
}

function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0xcc9e2d51)
  h = (h << 15) | (h >>> 17)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}

/** MurmurHash3's finalizer (Austin Appleby, public domain): every bit of the input moves every bit of the result. */
function finish(hash: number): number {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}
