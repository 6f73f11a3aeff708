/**
 * An inbox at work: reads messages in their order, sends the command of each, and records how far it has come once all of a
 * page have taken effect, or are parked.
 *
 * - It begins where the record says. What was sent behind that is sent again, with the same ids: each takes effect once.
 * - It goes past a message only with its command's outcome, or with the message parked; then all later ones of its aggregate
 *   wait there too.
 * - It ends when it is closed, and never otherwise: what fails is tried again, and `trouble` says so.
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { within, type Clock } from '../log/clock.ts'
import { deriveId, type IdSource } from '../log/identity.ts'
import { streamName } from '../log/stream.ts'
import { backOffMs } from '../read/back-off.ts'
import { Bell } from '../read/bell.ts'
import type { Effects, SentOutcome } from './effects.ts'
import { inboxHalted } from './inbox-error.ts'
import { checkedCommand, type Inbox, type InboxCommand } from './inbox.ts'
import { INBOX, type InboxOutline, type ParkedMessage, type ParkedOutline } from './inbox-record.ts'
import type { InboxMessage, InboxPage, InboxPlace, OpenInboxSource } from './inbox-source.ts'

export interface RunningInboxOptions {
  readonly inbox: Inbox
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
  readonly onWarning: (message: string) => void
}

/** More is no single message's fault. */
export const PARKED_MESSAGES_MAX = 100
/** A larger one is not kept in the log: the inbox halts before it. */
export const PARKED_BYTES_MAX: number = 64 * 1024

const ANSWER_MS = 5_000
const LAST_MS = 1_000
/** The same warning again is told no sooner. */
const WARNING_MS = 10_000

/** Somebody else runs the inbox: the record stands elsewhere. */
const STALE: unique symbol = Symbol('stale')

/** A message, and what is to become of it. */
interface Letter {
  readonly message: InboxMessage
  /** Undefined where its mapper does not say whom it is for. */
  readonly stream: string | undefined
  /** Undefined where there is nothing to do, or it cannot be told what. */
  readonly command: InboxCommand | undefined
  readonly error: unknown
}

export class RunningInbox {
  readonly #options: RunningInboxOptions
  readonly #stream: string
  readonly #source: OpenInboxSource
  readonly #closing = new AbortController()
  readonly #bell = new Bell()
  /** The position of the event that recorded the place: what was sent of the messages behind it stands behind that. */
  #after: number | undefined
  /** Of the page under way, what has taken effect; and how often one was rejected, and passed. */
  readonly #done = new Set<string>()
  #rejected = 0
  #attempts = 0
  #trouble: string | undefined
  #warnedAt = Number.NEGATIVE_INFINITY
  readonly #ended: Promise<void>

  constructor(options: RunningInboxOptions) {
    this.#options = options
    this.#stream = streamName(INBOX, options.inbox.name)
    this.#source = options.inbox.source.open()
    this.#ended = this.#run()
  }

  /** What keeps it from going on. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Nothing is begun any more; what is under way is not waited for longer than a moment. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#bell.ring()
    await this.#source.close()
    await within(this.#options.clock, LAST_MS, this.#ended)
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#turn()
        this.#attempts = 0
        this.#trouble = undefined
      } catch (error) {
        this.#after = undefined
        if (error === STALE || this.#isClosed) continue
        this.#attempts += 1
        this.#tellTrouble(error)
        await this.#bell.rungWithin(this.#options.clock, backOffMs(this.#attempts))
      }
    }
  }

  async #turn(): Promise<void> {
    const { inbox } = this.#options
    const state = await this.#query<InboxOutline>('outline')
    const { place } = state
    if (place === undefined) return this.#step('begin', { place: await this.#source.place(inbox.startAt) })
    this.#after ??= await this.#positionOf(state.placedAt)
    if (await this.#retry(state, place)) return
    const page = await this.#source.read(place, inbox.batchMax)
    if (this.#isClosed || (page.messages.length === 0 && page.lost === 0)) return
    if (page.lost > 0) this.#tellLoss(page)
    await this.#handle(page.messages, state, place)
    await this.#step('advance', { from: place, to: page.place, lost: page.lost, rejected: this.#rejected })
    this.#done.clear()
    this.#rejected = 0
  }

  /** Tries again what somebody wants, and what has waited behind it. Resolves to whether there was something. */
  async #retry({ parked }: InboxOutline, from: InboxPlace): Promise<boolean> {
    const first = new Map<string, ParkedOutline>()
    for (const message of parked) {
      const row = message.stream ?? message.id
      if (!first.has(row)) first.set(row, message)
    }
    const due = [...first.values()].filter(({ isAsked, reason }) => isAsked || reason === '')
    for (const { id } of due) {
      const message = await this.#query<ParkedMessage | undefined>('message', id)
      // Somebody has skipped it meanwhile.
      if (message === undefined) continue
      const letter = this.#letterOf({ id, fields: message.fields })
      const problem = await this.#send(letter)
      if (problem === undefined) await this.#step('unpark', { from, id })
      else await this.#park(letter, from, problem)
    }
    return due.length > 0
  }

  /** All take effect, or are parked. @throws what keeps one from either, once the others are done with */
  async #handle(messages: readonly InboxMessage[], state: InboxOutline, from: InboxPlace): Promise<void> {
    const letters = messages.map((message) => this.#letterOf(message))
    const rows = [...Map.groupBy(letters, ({ stream, message }) => stream ?? message.id).values()]
    const held = new Set(state.parked.map(({ stream }) => stream))
    const parked = new Set(state.parked.map(({ id }) => id))
    const failed: unknown[] = []
    const work = async (): Promise<void> => {
      for (let row = rows.shift(); row !== undefined && !this.#isClosed; row = rows.shift()) {
        const left = row.filter(({ message: { id } }) => !this.#done.has(id) && !parked.has(id))
        await this.#handleRow(left, held, from).catch((error: unknown) => failed.push(error))
      }
    }
    const { concurrency } = this.#options.inbox
    await Promise.all(Array.from({ length: Math.min(concurrency, rows.length) }, work))
    if (failed.length > 0) throw failed.find((error) => error === STALE) ?? failed[0]
    if (this.#isClosed) throw STALE
  }

  /** One aggregate's messages, in order. */
  async #handleRow(letters: readonly Letter[], held: Set<string | undefined>, from: InboxPlace): Promise<void> {
    for (const letter of letters) {
      const { message, stream } = letter
      const isHeld = stream !== undefined && held.has(stream)
      const problem = isHeld ? '' : await this.#send(letter)
      if (problem !== undefined) {
        if (this.#options.inbox.onFailure === 'halt') throw inboxHalted(this.#options.inbox.name, message.id, problem)
        await this.#park(letter, from, problem)
        held.add(stream)
      }
      this.#done.add(message.id)
    }
  }

  #letterOf(message: InboxMessage): Letter {
    const { inbox } = this.#options
    try {
      const mapped = inbox.map(message)
      if (mapped === undefined) return { message, stream: undefined, command: undefined, error: undefined }
      const command = checkedCommand(inbox, mapped)
      return { message, stream: streamName(command.aggregate.type, command.id), command, error: undefined }
    } catch (error) {
      return { message, stream: undefined, command: undefined, error }
    }
  }

  /** Resolves to why it cannot take effect; undefined where it has. @throws what may go by itself */
  async #send({ message, stream, command, error }: Letter): Promise<string | undefined> {
    if (error !== undefined) return reasonOf(error)
    if (command === undefined) return undefined
    let outcome: SentOutcome
    try {
      outcome = await this.#ask(message, stream!, command)
    } catch (thrown) {
      if (this.#isClosed) throw STALE
      if (!(thrown instanceof PenholdError) || thrown.retryable) throw thrown
      return reasonOf(thrown)
    }
    if (outcome.kind === 'accepted') return undefined
    if (this.#options.inbox.onRejection === 'fail') return `rejected: ${outcome.code}`
    this.#rejected += 1
    return undefined
  }

  #ask({ id }: InboxMessage, stream: string, mapped: InboxCommand): Promise<SentOutcome> {
    const { effects, inbox } = this.#options
    const { command: name, commandId = deriveId('inbox', inbox.name, inbox.source.name, id) } = mapped
    const { correlationId = commandId, payload } = mapped
    const cause = { correlationId, causationId: commandId, after: this.#after ?? 0 }
    return effects.ask({ stream, name, payload, commandId, ...cause, signal: this.#closing.signal })
  }

  async #park({ message, stream }: Letter, from: InboxPlace, reason: string): Promise<void> {
    const { inbox, clock } = this.#options
    const { parked } = await this.#query<InboxOutline>('outline')
    const isKnown = parked.some(({ id }) => id === message.id)
    if (!isKnown && parked.length >= PARKED_MESSAGES_MAX) {
      throw inboxHalted(
        inbox.name,
        message.id,
        `${parked.length} messages are parked, and that is the limit; ${reason}`,
      )
    }
    const bytes = Buffer.byteLength(JSON.stringify(message.fields))
    if (bytes > PARKED_BYTES_MAX) {
      throw inboxHalted(
        inbox.name,
        message.id,
        `${reason}; it has ${bytes} bytes, more than are kept of one that is parked`,
      )
    }
    const { id, fields } = message
    await this.#step('park', { from, message: { id, fields, stream, reason, at: clock.now() } })
    if (reason !== '') this.#warn(`has parked message ${id}: ${reason}`)
  }

  /** @throws PenholdError where that is not known within a while */
  async #query<Answer>(name: 'outline' | 'message', argument?: string): Promise<Answer> {
    const question = { stream: this.#stream, name, argument, timeoutMs: ANSWER_MS, signal: this.#closing.signal }
    return (await this.#options.effects.query(question)) as Answer
  }

  async #positionOf(version: number): Promise<number> {
    const { signal } = this.#closing
    for await (const { position } of this.#options.effects.load(this.#stream, { from: version, limit: 1, signal })) {
      return position
    }
    return 0
  }

  /** Where its answer is lost, the next turn finds what has come of it. @throws STALE where the record stands elsewhere */
  async #step(name: string, payload: unknown): Promise<void> {
    const { effects, ids } = this.#options
    const commandId = ids.next()
    const cause = { correlationId: commandId, causationId: commandId, after: this.#after ?? 0 }
    const outcome = await effects.ask({
      stream: this.#stream,
      name,
      payload,
      commandId,
      ...cause,
      timeoutMs: ANSWER_MS,
    })
    if (outcome.kind === 'rejected') throw STALE
    if (name === 'advance' || name === 'begin') this.#after = outcome.position || undefined
  }

  #tellLoss({ lost }: InboxPage): void {
    const { source } = this.#options.inbox
    this.#warn(
      `${lost} messages of ${source.name} were removed before they were read; keep more of them, or for longer`,
    )
  }

  #tellTrouble(error: unknown): void {
    const { clock } = this.#options
    this.#trouble = reasonOf(error)
    if (clock.monotonic() - this.#warnedAt < WARNING_MS) return
    this.#warnedAt = clock.monotonic()
    this.#warn(`waits and tries again: ${this.#trouble}`)
  }

  /** Whoever is told does not end the inbox. */
  #warn(message: string): void {
    try {
      this.#options.onWarning(`inbox ${this.#options.inbox.name}: ${message}`)
    } catch {
      // It is in the status as well.
    }
  }
}
