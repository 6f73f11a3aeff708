/** Changes to single fields of single records, where docs/format.md puts them: what bytes changed by chance rarely hit. */
import fc from 'fast-check'
import { edges } from './mutation.ts'

const BATCH_HEADER_BYTES = 48
const WORDS = [0, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 104, 108] as const
const KIND_AT = 8
const PREVIOUS_OFFSET_AT = 56

export interface FieldChange {
  readonly record: number
  readonly at: number
  readonly value: number
  /** Added to what stands there, put in its place, or the record's own offset as the one before it. */
  readonly how: 'add' | 'set' | 'kind' | 'itself'
}

export const fieldChanges: fc.Arbitrary<FieldChange[]> = fc.array(
  fc.record({
    record: fc.nat({ max: 100 }),
    at: fc.constantFrom(...WORDS),
    value: fc.oneof(fc.nat({ max: 9 }), edges),
    how: fc.constantFrom('add' as const, 'set' as const, 'kind' as const, 'itself' as const),
  }),
  { maxLength: 3 },
)

/** Where the records of a segment stand, as far as they can be walked to. */
export function recordPlaces(bytes: Buffer): number[] {
  const places: number[] = []
  for (let offset = 0; offset + BATCH_HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(offset + 4)
    const end = Math.min(bytes.length, offset + length)
    for (let at = offset + BATCH_HEADER_BYTES; at + 116 <= end; at += Math.max(8, bytes.readUInt32LE(at)))
      places.push(at)
    offset += Math.max(8, length)
  }
  return places
}

/** Changes fields in place. Whoever wants them to be believed makes the checks right again (reseal.ts). */
export function changeFields(bytes: Buffer, changes: readonly FieldChange[]): void {
  const places = recordPlaces(bytes)
  for (const { record, at, value, how } of places.length === 0 ? [] : changes) {
    const place = places[record % places.length]!
    if (how === 'kind') bytes[place + KIND_AT] = value
    if (how === 'itself') bytes.writeUInt32LE(place, place + PREVIOUS_OFFSET_AT)
    if (how === 'set') bytes.writeUInt32LE(value, place + at)
    if (how === 'add') bytes.writeUInt32LE((bytes.readUInt32LE(place + at) + value) >>> 0, place + at)
  }
}
