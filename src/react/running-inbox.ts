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
import { frozen } from '../aggregate/frozen.ts'
import { within, type Clock } from '../log/clock.ts'
import { deriveId, type IdSource } from '../log/identity.ts'
import { streamName } from '../log/stream.ts'
import { backOffMs } from '../read/back-off.ts'
import { Bell } from '../read/bell.ts'
import type { Effects, SentOutcome } from './effects.ts'
import { inboxHalted, messageTooLarge } from './inbox-error.ts'
import { addressOf, checkedCommand, type Inbox, type InboxCommand } from './inbox.ts'
import {
  INBOX,
  INBOX_FULL,
  isDue,
  keptFields,
  PARKED_MESSAGES_MAX,
  type InboxOutline,
  type KeptMessage,
  type ParkedOutline,
} from './inbox-record.ts'
import { ADVICE } from './parked-warnings.ts'
import { Waiting } from './waiting.ts'
import type { InboxMessage, InboxPage, InboxPlace, OpenInboxSource } from './inbox-source.ts'
import { tookEffectOtherwise } from './unless-known.ts'

export interface RunningInboxOptions {
  readonly inbox: Inbox
  readonly effects: Effects
  readonly ids: IdSource
  readonly clock: Clock
  readonly onWarning: (message: string) => void
}

/** One whose fields take more as JSON is not kept in the log: the inbox halts before it. */
export const PARKED_BYTES_MAX: number = 64 * 1024

/** What is recorded of a message beside its fields takes less. */
export const BESIDE_BYTES: number = 8 * 1024

const ANSWER_MS = 5_000
/** A source that says at once that it has nothing is asked no sooner again. */
const IDLE_MS = 50
const LAST_MS = 1_000

/** The record says something else by now: somebody else runs the inbox, or has skipped a message. */
const STALE: unique symbol = Symbol('stale')
/** Its record keeps no more. */
const FULL: unique symbol = Symbol('full')

/** A message, and what is to become of it. */
interface Letter {
  readonly message: InboxMessage
  /** Undefined where its mapper does not say whom it is for. */
  readonly stream: string | undefined
  /** Undefined where there is nothing to do, or it cannot be told what. */
  readonly command: InboxCommand | undefined
  readonly error: unknown
}

/** What has come of a letter: it has taken effect, and may have been rejected and passed; or why it cannot. */
type Sent = { readonly kind: 'done'; readonly rejected: number } | { readonly kind: 'failed'; readonly reason: string }

const DONE: Sent = { kind: 'done', rejected: 0 }

export class RunningInbox {
  readonly #options: RunningInboxOptions
  readonly #stream: string
  readonly #source: OpenInboxSource
  readonly #closing = new AbortController()
  readonly #bell = new Bell()
  /** The position of the event that recorded the place: what was sent of the messages behind it stands behind that. */
  #after: number | undefined
  /** The page under way: behind which place; what of it has taken effect; and how often one was rejected, and passed. */
  #from: InboxPlace | undefined
  readonly #done = new Set<string>()
  #rejected = 0
  #isLossTold = false
  #isProblemTold = false
  #attempts = 0
  #trouble: string | undefined
  readonly #waiting: Waiting
  #outline: InboxOutline | undefined
  #isReuseTold = false
  readonly #ended: Promise<void>

  constructor(options: RunningInboxOptions) {
    this.#options = options
    this.#waiting = new Waiting(`inbox ${options.inbox.name}`, { ...options, isWhole: true })
    this.#stream = streamName(INBOX, options.inbox.name)
    this.#source = options.inbox.source.open()
    this.#ended = this.#run()
  }

  /** What keeps it from going on. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** For so long. */
  get waitingMs(): number {
    return this.#waiting.now?.ms ?? 0
  }

  /** What its record has, as it was last known. */
  get outline(): InboxOutline | undefined {
    return this.#outline
  }

  /** Whether its source has nothing behind a place, asked for now. @throws what keeps it from answering */
  async isLevel({ count }: InboxPlace): Promise<boolean> {
    const end = await this.#source.place('now')
    // At the end of its row an inbox has counted all that there ever was, also where the row was made anew.
    return end.count === count
  }

  /** Called now and then, it tells that it waits. */
  look(): void {
    this.#waiting.look(this.#trouble === undefined ? new Map() : new Map([[0, this.#trouble]]))
  }

  /** Nothing is begun any more; what is under way is not waited for longer than a moment, nor is the source, which is somebody else's code. */
  async close(): Promise<void> {
    const { clock } = this.#options
    this.#closing.abort()
    this.#bell.ring()
    try {
      await within(clock, LAST_MS, this.#source.close())
    } finally {
      await within(clock, LAST_MS, this.#ended)
    }
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
        this.#trouble = reasonOf(error)
        await this.#bell.rungWithin(this.#options.clock, backOffMs(this.#attempts))
      }
    }
  }

  async #turn(): Promise<void> {
    const { inbox, clock } = this.#options
    const state = await this.#query<InboxOutline>('outline')
    const { place } = state
    this.#outline = state
    if (place === undefined) return this.#step('begin', { place: await this.#source.place(inbox.startAt) })
    this.#after ??= await this.#positionOf(state.placedAt)
    if (await this.#retry(state, place)) return
    const askedAt = clock.monotonic()
    const page = await this.#source.read(place, inbox.batchMax)
    if (this.#isClosed) return
    if (page.messages.length === 0 && page.lost === 0 && page.problem === undefined) {
      if (page.tooLarge !== undefined) throw messageTooLarge(inbox.name, page.tooLarge)
      const restMs = IDLE_MS - (clock.monotonic() - askedAt)
      if (restMs > 0) await this.#bell.rungWithin(clock, restMs)
      return
    }
    this.#begin(place)
    this.#tellLoss(page)
    await this.#handle(page.messages, state, place)
    await this.#step('advance', { from: place, to: page.place, lost: page.lost, rejected: this.#rejected })
  }

  /** What is known of a page counts while it stands behind the same place: also where nobody knows whether that was recorded. */
  #begin(place: InboxPlace): void {
    if (this.#from?.id === place.id && this.#from.count === place.count) return
    this.#from = place
    this.#done.clear()
    this.#rejected = 0
    this.#isLossTold = false
    this.#isProblemTold = false
  }

  /** Tries again what somebody wants, and what has waited behind it. Resolves to whether there was something. */
  async #retry({ parked }: InboxOutline, from: InboxPlace): Promise<boolean> {
    const rows = [...Map.groupBy(parked, ({ stream, id }) => stream ?? id).values()]
    const due = rows.filter(([first]) => isDue(first!))
    await this.#beside(due, (row) => this.#retryRow(row, from))
    return due.length > 0
  }

  /** One aggregate's parked messages, in order, until one waits for somebody. */
  async #retryRow(row: readonly ParkedOutline[], from: InboxPlace): Promise<void> {
    for (const outline of row) {
      if (!isDue(outline)) return
      const { id } = outline
      const message = await this.#query<KeptMessage | undefined>('message', id)
      // Somebody has skipped it meanwhile.
      if (message === undefined) continue
      const letter = this.#letterOf({ id, fields: keptFields(message) })
      const sent = await this.#send(letter, message.after)
      if (sent.kind === 'failed') return await this.#park(letter, from, sent.reason)
      await this.#step('unpark', { from, id, rejected: sent.rejected })
    }
  }

  /** So many rows at once. @throws what one of them throws, once the others are done with */
  async #beside<Row>(rows: Row[], work: (row: Row) => Promise<void>): Promise<void> {
    const failed: unknown[] = []
    const worker = async (): Promise<void> => {
      for (let row = rows.shift(); row !== undefined && !this.#isClosed; row = rows.shift()) {
        await work(row).catch((error: unknown) => failed.push(error))
      }
    }
    const { concurrency } = this.#options.inbox
    await Promise.all(Array.from({ length: Math.min(concurrency, rows.length) }, worker))
    if (failed.length > 0) throw failed.find((error) => error === STALE) ?? failed[0]
    if (this.#isClosed) throw STALE
  }

  /** All take effect, or are parked. @throws what keeps one from either, once the others are done with */
  async #handle(messages: readonly InboxMessage[], state: InboxOutline, from: InboxPlace): Promise<void> {
    const letters = messages.map((message) => this.#letterOf(message))
    const rows = [...Map.groupBy(letters, ({ stream, message }) => stream ?? message.id).values()]
    const held = new Set(state.parked.map(({ stream }) => stream))
    const dealtWith = new Set([...state.parked.map(({ id }) => id), ...state.skipped])
    await this.#beside(rows, async (row) => {
      const left = row.filter(({ message: { id } }) => !this.#done.has(id) && !dealtWith.has(id))
      await this.#handleRow(left, held, from)
    })
  }

  /** One aggregate's messages, in order. */
  async #handleRow(letters: readonly Letter[], held: Set<string | undefined>, from: InboxPlace): Promise<void> {
    for (const letter of letters) {
      const { message, stream } = letter
      const isHeld = stream !== undefined && held.has(stream)
      const sent: Sent = isHeld ? { kind: 'failed', reason: '' } : await this.#send(letter)
      if (sent.kind === 'done') this.#rejected += sent.rejected
      else {
        const { name, onFailure } = this.#options.inbox
        if (onFailure === 'halt') throw inboxHalted(name, message.id, whyOf(sent.reason))
        await this.#park(letter, from, sent.reason)
        held.add(stream)
      }
      this.#done.add(message.id)
    }
  }

  #letterOf(message: InboxMessage): Letter {
    const { inbox } = this.#options
    let stream: string | undefined
    try {
      const mapped = inbox.map(frozen(message))
      if (mapped === undefined) return { message, stream, command: undefined, error: undefined }
      stream = addressOf(inbox, mapped)
      return { message, stream, command: checkedCommand(mapped as object), error: undefined }
    } catch (error) {
      // Where it says whom it is for, later ones to that one wait behind it.
      return { message, stream, command: undefined, error }
    }
  }

  /** It may have taken effect before, behind this position. @throws what may go by itself */
  async #send({ message, stream, command, error }: Letter, after = this.#after ?? 0): Promise<Sent> {
    if (error !== undefined) return { kind: 'failed', reason: reasonOf(error) }
    if (command === undefined) return DONE
    let outcome: SentOutcome
    try {
      outcome = await this.#ask(message, stream!, { command, after })
    } catch (thrown) {
      if (this.#isClosed) throw STALE
      if (!(thrown instanceof PenholdError) || thrown.retryable) throw thrown
      if (!isSentBefore(thrown, command)) return { kind: 'failed', reason: reasonOf(thrown) }
      this.#tellReuse(message)
      return DONE
    }
    if (outcome.kind === 'accepted') return DONE
    if (this.#options.inbox.onRejection === 'fail') return { kind: 'failed', reason: `rejected: ${outcome.code}` }
    return { kind: 'done', rejected: 1 }
  }

  #ask(
    { id }: InboxMessage,
    stream: string,
    { command, after }: { readonly command: InboxCommand; readonly after: number },
  ): Promise<SentOutcome> {
    const { effects, inbox } = this.#options
    const { command: name, commandId = deriveId('inbox', inbox.name, inbox.source.name, id) } = command
    const { correlationId = commandId, payload } = command
    const cause = { correlationId, causationId: commandId, after }
    return effects.ask({ stream, name, payload, commandId, ...cause, signal: this.#closing.signal })
  }

  async #park({ message, stream }: Letter, from: InboxPlace, reason: string): Promise<void> {
    const { inbox, clock, effects } = this.#options
    const { id } = message
    const fields = JSON.stringify(message.fields)
    const bytes = Buffer.byteLength(fields)
    const most = Math.min(PARKED_BYTES_MAX, effects.commandBytesMax - BESIDE_BYTES)
    const why = whyOf(reason)
    if (bytes > most) {
      const remedy = most < PARKED_BYTES_MAX ? ' (raise limits.commandBytesMax)' : ''
      throw inboxHalted(
        inbox.name,
        id,
        `it has ${bytes} bytes, and a message of up to ${most} can be parked${remedy}; ${why}`,
      )
    }
    const kept = { id, fields, stream, reason, at: clock.now(), after: this.#after ?? 0 }
    try {
      await this.#step('park', { from, message: kept })
    } catch (error) {
      if (error === FULL) {
        throw inboxHalted(inbox.name, id, `${PARKED_MESSAGES_MAX} messages are parked, and that is the limit; ${why}`)
      }
      if (!(error instanceof PenholdError) || error.retryable) throw error
      throw inboxHalted(inbox.name, id, `it cannot be parked: ${reasonOf(error)}; ${why}`)
    }
    if (reason !== '') this.#warn(`has parked message ${id}: ${reason}. ${ADVICE}`)
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

  /** Where its answer is lost, the next turn finds what has come of it. @throws STALE where the record says something else by now, FULL where it keeps no more */
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
    if (outcome.kind === 'rejected') throw outcome.code === INBOX_FULL ? FULL : STALE
    if (name === 'advance' || name === 'begin') this.#after = outcome.position || undefined
  }

  /** Of one page once, however often it is tried: meanwhile more of it may go, which the status counts. */
  #tellLoss({ lost, problem }: InboxPage): void {
    const { source } = this.#options.inbox
    if (problem !== undefined && !this.#isProblemTold) {
      this.#isProblemTold = true
      this.#warn(problem)
    }
    if (lost === 0 || this.#isLossTold) return
    this.#isLossTold = true
    this.#warn(
      `${lost} messages of ${source.name} were removed before they were read; keep more of them, or for longer`,
    )
  }

  #tellReuse({ id }: InboxMessage): void {
    if (this.#isReuseTold) return
    this.#isReuseTold = true
    this.#warn(
      `message ${id} took effect before as something else than its mapper says now, and counts as done. Where what was done then is wrong, mend it by a command of your own; of further messages this is not told`,
    )
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

/** For people: what waits has failed at nothing itself. */
function whyOf(reason: string): string {
  return reason === '' ? 'it waits behind one that is parked, until that is retried or skipped' : reason
}

/**
 * Whether a command whose id is known with another payload is this message's, as its mapper said it before: the id is the
 * message's alone, and events stand for it. One of the mapper's choice may be another message's, whose content this one does not have.
 */
function isSentBefore(error: PenholdError, { commandId }: InboxCommand): boolean {
  return commandId === undefined && tookEffectOtherwise(error)
}
