/**
 * A part of some bytes, without a view of its own: making a typed array costs as much as encoding a small event.
 */
export interface Slice {
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

export const NO_BYTES: Slice = { bytes: new Uint8Array(), start: 0, end: 0 }

export function sliceOf(bytes: Uint8Array): Slice {
  return { bytes, start: 0, end: bytes.length }
}

/** The part in memory of its own. */
export function copyOf({ bytes, start, end }: Slice): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, end)
}
