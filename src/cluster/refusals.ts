/**
 * Connections that were not let in, told to the operator so that a stranger who tries a thousand times a second fills no
 * log: each host and kind of refusal once a minute, with how many there were since.
 */
import type { Clock } from '../log/clock.ts'
import type { ConnectionError, ConnectionErrorKind } from './network.ts'

const QUIET_MS = 60_000
const KEPT_MAX = 256
/** A connection that has said nothing. */
const SILENT: ConnectionErrorKind = 'timeout'

interface Told {
  readonly at: number
  since: number
}

export class Refusals {
  readonly #clock: Clock
  readonly #tell: (message: string) => void
  /** By kind and host, the one told longest ago first. */
  readonly #told = new Map<string, Told>()

  constructor(clock: Clock, tell: (message: string) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** `from` is `host:port`. */
  add({ kind, message }: ConnectionError, from: string): void {
    if (kind === SILENT) return
    const host = from.slice(0, from.lastIndexOf(':'))
    const key = `${kind} ${host}`
    const now = this.#clock.monotonic()
    const told = this.#told.get(key)
    if (told !== undefined && now - told.at < QUIET_MS) {
      told.since += 1
      return
    }
    const more = told === undefined || told.since === 0 ? '' : ` (and ${told.since} times since that was last said)`
    this.#told.delete(key)
    this.#told.set(key, { at: now, since: 0 })
    this.#forgetOldest()
    this.#tell(`a connection from ${host} was not let in: ${message}${more}`)
  }

  /** Whoever calls from ever new hosts. */
  #forgetOldest(): void {
    if (this.#told.size <= KEPT_MAX) return
    const [oldest] = this.#told.keys()
    this.#told.delete(oldest!)
  }
}
