/**
 * Plain data (aggregate/plain.ts) as JSON and back, without loss. What JSON has no word for is an object of one key:
 * bytes `{"$bytes": BASE64}`, bigints `{"$bigint": "12"}`, numbers that JSON has not `{"$number": "NaN"}` (also `Infinity`,
 * `-Infinity`, `-0`), and an object that would look like one of these `{"$object": {…}}`.
 */

/** A value is not what this page says. */
export class BadJson extends Error {
  override readonly name = 'BadJson'
}

const WORDS: ReadonlySet<string> = new Set(['$bytes', '$bigint', '$number', '$object'])
const NUMBERS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
}

/** What `JSON.stringify` takes as it is. */
export function toJson(value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: String(value) }
  if (typeof value === 'number') return numberToJson(value)
  return typeof value === 'object' && value !== null ? objectToJson(value) : value
}

function numberToJson(value: number): unknown {
  if (Object.is(value, -0)) return { $number: '-0' }
  return Number.isFinite(value) ? value : { $number: String(value) }
}

function objectToJson(value: object): unknown {
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  const entries = Object.entries(value).map(([key, item]) => [key, toJson(item)] as const)
  const json = Object.fromEntries(entries)
  return wordOf(json) === undefined ? json : { $object: json }
}

/** @throws BadJson */
export function fromJson(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json
  if (Array.isArray(json)) return json.map(fromJson)
  const word = wordOf(json)
  const plain = json as Readonly<Record<string, unknown>>
  if (word === undefined) return mapped(plain)
  const value = plain[word]
  if (word === '$object' && typeof value === 'object' && value !== null && !Array.isArray(value)) return mapped(value)
  if (typeof value !== 'string') throw new BadJson(`${word} is ${JSON.stringify(value)}`)
  if (word === '$bytes') return bytesOf(value)
  if (word === '$bigint' && /^-?\d{1,20}$/.test(value)) return BigInt(value)
  if (word === '$number' && Object.hasOwn(NUMBERS, value)) return NUMBERS[value]
  throw new BadJson(`${word} is ${JSON.stringify(value)}`)
}

function mapped(json: object): object {
  return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, fromJson(item)]))
}

function bytesOf(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new BadJson('$bytes is no base64')
  return Uint8Array.from(bytes)
}

function wordOf(json: object): string | undefined {
  const [key, ...more] = Object.keys(json)
  return key !== undefined && more.length === 0 && WORDS.has(key) ? key : undefined
}
