/**
 * The end of a connection for reading at the node that is read from. It holds what its caller has opened and answers each
 * question for a page, one at a time a reading; so whoever stops asking costs what is at hand, and after a while nothing,
 * because the reading is let go. What is answered waits while the caller does not take what was sent.
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { toFailure } from '../actor/error.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { tooManyReadings } from './error.ts'
import { BadFrame } from './frame.ts'
import { HeldReading, type ReadingRun } from './held-reading.ts'
import { BACKLOG_HIGH_BYTES, isBeyondBounds, type Connection } from './network.ts'
import {
  decodeQuestion,
  encodeAnswer,
  encodePage,
  type ReadingKind,
  type ReadingQuestion,
  type ReadingRequest,
} from './reading-frames.ts'

/** Begins to read, until the signal ends it. What it throws, at once or later, the caller is told. */
export type OpenReading = (
  kind: ReadingKind,
  request: ReadingRequest,
  signal: AbortSignal,
) => AsyncGenerator<ReadingRun, void>

/** So many readings of a kind are open over one connection, and at one node, at most. */
export const READINGS_MAX: Readonly<Record<ReadingKind, { readonly ofCaller: number; readonly ofNode: number }>> = {
  all: { ofCaller: 64, ofNode: 256 },
  stream: { ofCaller: 1_000, ofNode: 10_000 },
}
/** A reading of which nobody asks for a page for so long is let go. */
const IDLE_MS = 60_000

/** How many readings a node, or one connection, has open. */
export type ReadingCount = Record<ReadingKind, number>

export interface ReadingEndOptions {
  readonly clock: Clock
  readonly open: OpenReading
  /** Of the node. */
  readonly count: ReadingCount
  readonly onWarning: (message: string) => void
  readonly onEnd: () => void
}

interface Entry {
  readonly kind: ReadingKind
  readonly held: HeldReading
  /** Whether its caller waits for a page. */
  isAsked: boolean
  stopTimer: Cancel
}

export class ReadingEnd {
  readonly #connection: Connection
  readonly #options: ReadingEndOptions
  readonly #entries = new Map<number, Entry>()
  readonly #count: ReadingCount = { all: 0, stream: 0 }
  #onRoom: (() => void)[] = []

  constructor(connection: Connection, options: ReadingEndOptions) {
    this.#connection = connection
    this.#options = options
    connection.onDrain(() => this.#wake())
    connection.onClose((reason) => {
      if (isBeyondBounds(reason))
        options.onWarning(`a ${connection.peer.role} that reads was cut off: ${reason.message}`)
      this.#dropAll()
      options.onEnd()
    })
    connection.onFrame((frame) => {
      try {
        this.#take(decodeQuestion(frame))
      } catch (error) {
        options.onWarning(`somebody who reads sent what no client says (${reasonOf(error)}); the connection was closed`)
        this.close()
      }
    })
  }

  close(): void {
    this.#dropAll()
    this.#connection.close()
  }

  #take(question: ReadingQuestion): void {
    if (question.kind === 'ping') return this.#connection.send(encodeAnswer({ kind: 'pong' }))
    const { reading } = question
    if (question.kind === 'open') return this.#open(reading, question.of, question.request)
    // It may have been let go, or have failed, meanwhile.
    const entry = this.#entries.get(reading)
    if (entry === undefined) return
    if (question.kind === 'close') return this.#drop(reading, entry)
    if (entry.isAsked) throw new BadFrame('a page was asked for while one was awaited')
    entry.isAsked = true
    entry.stopTimer()
    void this.#answer(reading, entry)
  }

  #open(reading: number, kind: ReadingKind, request: ReadingRequest): void {
    if (this.#entries.has(reading)) throw new BadFrame(`two readings have the number ${reading}`)
    const { clock, open, count } = this.#options
    const { ofCaller, ofNode } = READINGS_MAX[kind]
    if (this.#count[kind] >= ofCaller) return this.#fail(reading, tooManyReadings(kind, 'connection', ofCaller))
    if (count[kind] >= ofNode) return this.#fail(reading, tooManyReadings(kind, 'node', ofNode))
    const stopping = new AbortController()
    try {
      const held = new HeldReading(open(kind, request, stopping.signal), clock, stopping)
      const entry = { kind, held, isAsked: false, stopTimer: () => undefined }
      this.#entries.set(reading, entry)
      this.#count[kind] += 1
      count[kind] += 1
      this.#awaitQuestion(reading, entry)
    } catch (error) {
      this.#fail(reading, error)
    }
  }

  async #answer(reading: number, entry: Entry): Promise<void> {
    const connection = this.#connection
    const isHeld = (): boolean => this.#entries.get(reading) === entry
    try {
      const page = await entry.held.page()
      // Each that waits looks again, since whoever is first may have filled it.
      while (isHeld() && connection.backlogBytes > BACKLOG_HIGH_BYTES) await this.#room()
      if (!isHeld()) return
      connection.send(encodePage(reading, page))
      entry.isAsked = false
      if (page.isLast) this.#drop(reading, entry)
      else this.#awaitQuestion(reading, entry)
    } catch (error) {
      if (!isHeld()) return
      this.#drop(reading, entry)
      this.#fail(reading, error)
    }
  }

  #fail(reading: number, error: unknown): void {
    this.#connection.send(failureFrame(reading, error))
  }

  #awaitQuestion(reading: number, entry: Entry): void {
    entry.stopTimer = this.#options.clock.after(IDLE_MS, () => {
      this.#drop(reading, entry)
      this.#connection.send(encodeAnswer({ kind: 'gone', reading }))
    })
  }

  #drop(reading: number, entry: Entry): void {
    if (!this.#entries.delete(reading)) return
    this.#count[entry.kind] -= 1
    this.#options.count[entry.kind] -= 1
    entry.stopTimer()
    entry.held.close()
  }

  #dropAll(): void {
    for (const [reading, entry] of this.#entries) this.#drop(reading, entry)
    this.#wake()
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#onRoom.push(resolve))
  }

  #wake(): void {
    for (const resume of this.#onRoom.splice(0)) resume()
  }
}

/** What an error says besides may be more than a frame carries. */
function failureFrame(reading: number, error: unknown): Uint8Array {
  try {
    return encodeAnswer({ kind: 'failed', reading, failure: toFailure(error) })
  } catch {
    const { code, message, outcome, retryable } = toFailure(error)
    const plain = new PenholdError(code, message, { outcome, retryable })
    return encodeAnswer({ kind: 'failed', reading, failure: toFailure(plain) })
  }
}
