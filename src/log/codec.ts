/**
 * MessagePack of plain data (aggregate/plain.ts): no shared structures, no records, no extension types. Written by
 * msgpackr, read by decoder.ts.
 */
import { createRequire } from 'node:module'
import type * as Msgpackr from 'msgpackr'
import { sliceOf, type Slice } from './slice.ts'

export { BadEncoding, decode } from './decoder.ts'

// The variant without `new Function` and without the native add-on.
const { Packr, REUSE_BUFFER_MODE, RESET_BUFFER_MODE } = createRequire(import.meta.url)(
  'msgpackr/index-no-eval',
) as typeof Msgpackr

const settings = {
  useRecords: false,
  encodeUndefinedAsNil: true,
  moreTypes: false,
  // An object may have more than 65,535 keys, and a key `toJSON` is a key like any other.
  variableMapSize: true,
  useToJSON: false,
} as const
const packr = new Packr(settings)
// Leaving out keys without a value costs twice the time, so only values that have such keys pay for it.
const skipping: object = { ...settings, skipValues: [undefined] }
const skippingPackr = new Packr(skipping)

/** The encoded value. Keys whose value is undefined are left out. */
export function encode(value: unknown): Uint8Array {
  return (hasUndefinedKey(value) ? skippingPackr : packr).pack(value)
}

/** The encoded value in memory that the next call uses again: for whoever copies it at once. Half the price. */
export function encodeScratch(value: unknown): Slice {
  if (hasUndefinedKey(value)) {
    return sliceOf(skippingPackr.pack(value))
  }
  const bytes = packr.pack(value, REUSE_BUFFER_MODE | RESET_BUFFER_MODE) as unknown as Uint8Array & {
    start: number
    end: number
  }
  return { bytes, start: bytes.start, end: bytes.end }
}

function hasUndefinedKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false
  if (Array.isArray(value)) return value.some(hasUndefinedKey)
  for (const key in value) {
    const item = (value as Record<string, unknown>)[key]
    if (item === undefined || (typeof item === 'object' && hasUndefinedKey(item))) return true
  }
  return false
}
