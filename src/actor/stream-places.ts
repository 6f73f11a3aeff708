/**
 * Where some versions of long streams stand, as far as somebody has walked past them: so that who reads the middle of one
 * again does not walk there again from its end. Each is a hint, which is looked at before it is followed; forgotten, it
 * costs a walk.
 */
import type { Hint } from '../log/history.ts'
import type { Address, LogRecord } from '../log/record.ts'

export interface StreamPlacesOptions {
  /** One of so many versions is kept. */
  readonly spacing: number
  /** So many places in all. */
  readonly placesMax: number
}

/** Some megabytes, when it is full. */
const OPTIONS: StreamPlacesOptions = { spacing: 1_024, placesMax: 65_536 }

export class StreamPlaces {
  readonly #options: StreamPlacesOptions
  /** By stream, the least recently used first: by version. */
  readonly #streams = new Map<string, Map<number, Address>>()
  #count = 0

  constructor(options: StreamPlacesOptions = OPTIONS) {
    this.#options = options
  }

  /** Takes in an event that was walked past. */
  pass(stream: string, { version, address }: Pick<LogRecord, 'version' | 'address'>): void {
    if (version % this.#options.spacing !== 0) return
    const places = this.#streams.get(stream) ?? new Map<number, Address>()
    if (places.size === 0) this.#streams.set(stream, places)
    if (!places.has(version)) this.#count += 1
    places.set(version, address)
    if (this.#count > this.#options.placesMax) this.#forget(stream)
  }

  /** A place at or not far above a version, where one is known. */
  above(stream: string, version: number): Hint | undefined {
    const places = this.#streams.get(stream)
    if (places === undefined) return undefined
    this.#streams.delete(stream)
    this.#streams.set(stream, places)
    const { spacing } = this.#options
    const address = places.get(Math.ceil(version / spacing) * spacing)
    return address && { address, version }
  }

  /** The stream that was not used for longest; this one too, where there is no other. */
  #forget(stream: string): void {
    const other = [...this.#streams.keys()].find((one) => one !== stream) ?? stream
    this.#count -= this.#streams.get(other)!.size
    this.#streams.delete(other)
  }
}
