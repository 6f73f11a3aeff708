/**
 * What one command, or one event, has set in motion, as a tree. It is found on one way forward through everything: a cause
 * stands before its effects (I6), so that whoever has seen the causes knows each effect when it comes.
 */
import { describe, PenholdError } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import { checkOptions } from '../cluster/options.ts'
import { isCount } from '../log/count.ts'
import { formatId, isId, parseId, timeOfId } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import { metadataOf } from '../log/recorded-event.ts'
import type { LogPlace } from './read-options.ts'
import type { ReadEvent } from './reading-store.ts'

export interface CorrelationOptions {
  /**
   * Behind which place to begin. Default: where the id says its time, as a UUIDv7 does, an hour before that, as clocks
   * differ; else, and where no command or event of this id is found so, from the beginning.
   */
  readonly after?: LogPlace
  /** The last that is read. Default: the end that there is when it begins. */
  readonly until?: LogPlace
  /** With more events than this it is refused. Default 10,000. */
  readonly limit?: number
  readonly signal?: AbortSignal
}

/** A command that had events, and all that came of it. */
export interface CorrelatedCommand {
  readonly commandId: string
  readonly stream: string
  /** What its events say has caused them. */
  readonly causationId: string
  readonly events: readonly CorrelatedEvent[]
  /** Commands that name this one as their cause, and none of its events. */
  readonly commands: readonly CorrelatedCommand[]
}

/** An event, and the commands that name it as their cause. */
export type CorrelatedEvent = ReadEvent & { readonly commands: readonly CorrelatedCommand[] }

export interface Correlation {
  readonly id: string
  /** Behind which place all was looked at; undefined where that is the beginning. What stands before is not in it. */
  readonly after: LogPlace | undefined
  /** How many events there are in all. */
  readonly size: number
  /** In the order of everything: those whose cause is none of the others, and does not stand before them. */
  readonly commands: readonly CorrelatedCommand[]
}

const OPTIONS = ['after', 'until', 'limit', 'signal']
export const LIMIT = 10_000
const CLOCKS_DIFFER_MS = 3_600_000

/** @throws PenholdError `BadPayload` */
export function checkCorrelation(id: string, options: CorrelationOptions): void {
  const what = `the correlation of ${describe(id)}`
  if (typeof id !== 'string' || id === '') throw badPayload(what, 'give an id as a text')
  checkOptions(what, options, OPTIONS)
  const { limit = LIMIT } = options
  if (!isCount(limit)) throw badPayload(what, `limit is ${describe(limit)}; give a whole number`)
}

/**
 * Behind which place everything that this id set in motion stands, where whoever made it had a clock that was no more than
 * an hour ahead; undefined where the id does not say.
 */
export function beginningOf(id: string): LogPlace | undefined {
  const time = isId(id) ? timeOfId(id) : undefined
  return time === undefined ? undefined : { time: new Date(Math.max(0, time - CLOCKS_DIFFER_MS)) }
}

interface Command extends CorrelatedCommand {
  readonly events: CorrelatedEvent[]
  readonly commands: Command[]
}

/** A tree that grows while everything is read. */
export class CorrelationTree {
  readonly #id: string
  readonly #after: LogPlace | undefined
  readonly #limit: number
  readonly #event: Uint8Array | undefined
  /** The id as the log would have it. */
  readonly #asked: string
  #hasOrigin = false
  /** Ids of what is in it, and what it was asked for by. */
  readonly #known = new Set<string>()
  readonly #roots: Command[] = []
  /** Commands by what makes them one: an id, a stream and a cause; and the first of each id. */
  readonly #commands = new Map<string, Command>()
  readonly #byId = new Map<string, Command>()
  readonly #events = new Map<string, { readonly commands: Command[] }>()

  constructor(id: string, { after, limit = LIMIT }: Pick<CorrelationOptions, 'after' | 'limit'>) {
    this.#id = id
    this.#after = after
    this.#limit = limit
    this.#event = isId(id) ? parseId(id).bytes : undefined
    this.#asked = this.#event === undefined ? id : formatId({ bytes: this.#event, start: 0 })
    this.#known.add(id).add(this.#asked)
  }

  get tree(): Correlation {
    return { id: this.#id, after: this.#after, size: this.#events.size, commands: this.#roots }
  }

  /** Whether it has an event of this id, or one of the command of this id: what they have caused stands behind them. */
  get hasOrigin(): boolean {
    return this.#hasOrigin
  }

  /** Whether the event is one of it. Asked of all events, in their order. */
  has(record: LogRecord): boolean {
    const { correlationId, causationId, commandId } = metadataOf(record)
    // The asked event's command may have had others, which it has not set in motion.
    const isAsked = this.#event !== undefined && Buffer.compare(this.#event, record.eventId) === 0
    if (isAsked || commandId === this.#asked) this.#hasOrigin = true
    if (isAsked) return true
    if (correlationId !== this.#id && !this.#known.has(causationId) && !this.#known.has(commandId)) return false
    this.#known.add(commandId)
    this.#known.add(formatId({ bytes: record.eventId, start: 0 }))
    return true
  }

  /** Takes in one of its events. @throws PenholdError `TooLarge` */
  add(event: ReadEvent): void {
    if (this.#events.size >= this.#limit) throw tooMuch(this.#id, this.#limit)
    const node = Object.assign(event, { commands: [] as Command[] })
    this.#commandOf(event).events.push(node)
    this.#events.set(event.id, node)
  }

  #commandOf({ stream, metadata: { commandId, causationId } }: ReadEvent): Command {
    const key = JSON.stringify([commandId, stream, causationId])
    const known = this.#commands.get(key)
    if (known !== undefined) return known
    const command: Command = { commandId, stream, causationId, events: [], commands: [] }
    const cause = this.#events.get(causationId) ?? (causationId === commandId ? undefined : this.#byId.get(causationId))
    const siblings = cause === undefined ? this.#roots : cause.commands
    siblings.push(command)
    this.#commands.set(key, command)
    if (!this.#byId.has(commandId)) this.#byId.set(commandId, command)
    return command
  }
}

function tooMuch(id: string, limit: number): PenholdError {
  return new PenholdError(
    'TooLarge',
    `${id} has set more than ${limit} events in motion, which is the limit. Raise it, or ask for one of the events in it.`,
    { outcome: 'none', retryable: false, details: { id, limit } },
  )
}

/** What there is of it so far would look like all. */
export function gaveUp(id: string, cause: unknown): PenholdError {
  return new PenholdError('Aborted', `the caller, or the node, gave up looking for what ${id} has set in motion`, {
    outcome: 'none',
    retryable: true,
    details: { id },
    cause,
  })
}
