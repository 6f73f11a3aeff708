/**
 * The end of a connection for reading at whoever reads: many readings over one line. It knows what became of each, and
 * whether the node still answers; where to go on, and at which node, is its user's to say.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Failure } from '../actor/message.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import { BadFrame } from './frame.ts'
import type { Connection } from './network.ts'
import {
  decodeAnswer,
  encodeQuestion,
  type ReadingAnswer,
  type ReadingKind,
  type ReadingPage,
  type ReadingQuestion,
  type ReadingRequest,
} from './reading-frames.ts'

/** What became of a question for a page. `gone`: the reading is to be opened anew, at this node or another. */
export type Came =
  | { readonly kind: 'page'; readonly page: ReadingPage }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'gone' }

const PING_MS = 1_000
/** A node that has said nothing for so long, while something was read from it, is taken for gone. */
const SILENCE_MS = 3_000
const GONE: Came = { kind: 'gone' }

export interface ReadingLineOptions {
  /** The node at the other end: its id, and its address for humans. */
  readonly node: string
  readonly address: string
  readonly clock: Clock
  readonly onWarning: (message: string) => void
  /** Called once. */
  readonly onEnd: () => void
}

export class ReadingLine {
  readonly #connection: Connection
  readonly #options: ReadingLineOptions
  readonly #readings = new Map<number, LineReading>()
  #last = 0
  #heardAt = 0
  #isPinging = false
  #isOver = false
  #stopTimer: Cancel = () => undefined

  constructor(connection: Connection, options: ReadingLineOptions) {
    this.#connection = connection
    this.#options = options
    connection.onClose(() => this.close())
    connection.onFrame((frame) => {
      this.#heardAt = options.clock.monotonic()
      try {
        this.#take(decodeAnswer(frame))
      } catch (error) {
        this.distrust(error)
      }
    })
  }

  get node(): string {
    return this.#options.node
  }

  /** Begins to read. Where the line has ended meanwhile, the reading is gone. */
  open(of: ReadingKind, request: ReadingRequest): LineReading {
    this.#last += 1
    const number = this.#last
    const reading = new LineReading({
      ask: () => this.#send({ kind: 'pull', reading: number }),
      end: () => {
        this.#readings.delete(number)
        this.#send({ kind: 'close', reading: number })
      },
    })
    if (this.#isOver) {
      reading.tell(GONE)
      return reading
    }
    this.#readings.set(number, reading)
    this.#send({ kind: 'open', reading: number, of, request })
    if (!this.#isPinging) {
      this.#heardAt = this.#options.clock.monotonic()
      this.#ping()
    }
    return reading
  }

  /** The node has said what none says. */
  distrust(error: unknown): void {
    if (this.#isOver) return
    this.#options.onWarning(`${this.#options.address} sends what no node says (${reasonOf(error)})`)
    this.close()
  }

  /** Ends all that is read over it. */
  close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stopTimer()
    this.#options.onEnd()
    this.#connection.close()
    for (const reading of this.#readings.values()) reading.tell(GONE)
    this.#readings.clear()
  }

  #take(answer: ReadingAnswer): void {
    if (answer.kind === 'pong') return
    // What was closed may have been under way.
    const reading = this.#readings.get(answer.reading)
    if (reading === undefined) return
    reading.tell(answer)
    if (answer.kind !== 'page' || answer.page.isLast) this.#readings.delete(answer.reading)
  }

  #send(question: ReadingQuestion): void {
    if (!this.#isOver) this.#connection.send(encodeQuestion(question))
  }

  /** For as long as anything is read. */
  #ping(): void {
    const { clock } = this.#options
    this.#isPinging = !this.#isOver && this.#readings.size > 0
    if (!this.#isPinging) return
    const due = clock.monotonic() + PING_MS
    this.#stopTimer = clock.after(PING_MS, () => {
      const now = clock.monotonic()
      // This thread was held: what the node has said meanwhile may not be read yet.
      if (now - due > PING_MS) this.#heardAt = now
      if (now - this.#heardAt > SILENCE_MS) return this.close()
      this.#send({ kind: 'ping' })
      this.#ping()
    })
  }
}

/** One reading over a line. */
export class LineReading {
  readonly #line: { readonly ask: () => void; readonly end: () => void }
  #awaited: ((came: Came) => void) | undefined
  /** What it has ended with. */
  #end: Came | undefined

  constructor(line: { readonly ask: () => void; readonly end: () => void }) {
    this.#line = line
  }

  /** The next page, or what the reading has ended with. One at a time. */
  next(): Promise<Came> {
    if (this.#end !== undefined) return Promise.resolve(this.#end)
    this.#line.ask()
    return new Promise((resolve) => (this.#awaited = resolve))
  }

  /** @throws BadFrame where it is no answer to anything */
  tell(came: Came): void {
    if (this.#end !== undefined) return
    const awaited = this.#awaited
    this.#awaited = undefined
    if (came.kind !== 'page') this.#end = came
    else if (awaited === undefined) throw new BadFrame('a page came that nobody had asked for')
    awaited?.(came)
  }

  /** Reads no more. Who waits for a page is told that the reading is gone. */
  close(): void {
    if (this.#end !== undefined) return
    this.tell(GONE)
    this.#line.end()
  }
}
