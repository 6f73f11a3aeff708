/** What `penhold parked` does, whatever has put something aside: events of streams (parked-events.ts), or messages (parked-messages.ts). */

/** Of what is parked; all of it where nothing is named. */
export interface Which {
  readonly stream?: string | undefined
  /** Of an inbox, by its id. */
  readonly message?: string | undefined
}

/** For programs, and for people. */
export interface Told {
  readonly json: object
  readonly text: string
}

/** One of those that are parked, with what waits behind it: what is tried again by itself. */
export interface ParkedRows {
  readonly rows: readonly string[]
  /** From where on there may be more, perhaps once these are gone; undefined where there is not. */
  readonly next: number | undefined
}

export interface Parking {
  /** What has parked it, as the result for programs names it. */
  readonly by: object
  list(): Promise<Told>
  /** @throws PenholdError where nothing of that is parked */
  show(which: Which): Promise<Told>
  /** Each by what it is known by; some of them, from a place on. */
  rows(which: Which, from: number): Promise<ParkedRows>
  /** Resolves to what has failed again; undefined where all of it took effect. */
  retry(row: string): Promise<Told | undefined>
  skip(which: Which, version: number, reason: string): Promise<Told>
}
