/**
 * Takes in rows: each becomes a command to its incident's ref. Many are under way at once, but of each incident one
 * after the other, because a row that has to be asked again must not be overtaken by the next.
 *
 * A command's id is derived from the incident and the row's place among the incident's rows. So a row that comes again,
 * in this run or after a crash in another one, is the same command, and takes effect at most once.
 */
import { deriveId, isRejection, type Node, type Ref, type Unsettled } from '../../src/index.ts'
import { DemoError, messageOf } from './demo-error.ts'
import { Incident } from './incident.ts'
import { persist } from './persist.ts'
import type { Row } from './rows.ts'
import { Window } from './window.ts'

/** What the aggregates replied. */
export interface Replies {
  rows: number
  /** One a row: asked again, it is the same command. */
  commands: number
  accepted: number
  rejected: number
  /** By the rule that was broken; in another run over the same data it may be 'out-of-date'. */
  readonly rejections: Record<string, number>
}

/** One incident's rows, as far as they have come. */
interface Series {
  readonly ref: Ref<typeof Incident>
  rows: number
  isOpen: boolean
  /** The last of them that is under way. */
  last: Promise<void>
}

/** Rows under way at once, unless told otherwise. */
const WINDOW = 5_000

/** Of the reply to a row. */
interface AcceptedRow {
  readonly position: number
  readonly unsettled?: readonly Unsettled[]
}

export interface IntakeOptions {
  readonly signal?: AbortSignal | undefined
  /** Rows under way at once. */
  readonly window?: number
  /** Told each row that the desk has accepted, those of an incident in order, with its reply. */
  readonly onAccepted?: (row: Row, reply: AcceptedRow) => void
}

export class Intake {
  readonly replies: Replies = { rows: 0, commands: 0, accepted: 0, rejected: 0, rejections: {} }
  readonly #node: Pick<Node, 'ref'>
  readonly #signal: AbortSignal | undefined
  readonly #series = new Map<string, Series>()
  readonly #window: Window
  readonly #onAccepted: (row: Row, reply: AcceptedRow) => void
  #position = 0
  #failure: unknown

  /** The signal stops it: rows that have been sent are finished, others are left for another run. */
  constructor(node: Pick<Node, 'ref'>, { signal, window = WINDOW, onAccepted }: IntakeOptions = {}) {
    this.#node = node
    this.#signal = signal
    this.#window = new Window(window)
    this.#onAccepted = onAccepted ?? (() => undefined)
  }

  /** How far the log has been written, by what was replied: a read model that has all up to here has every row. */
  get position(): number {
    return this.#position
  }

  /** The incidents that the rows spoke of. */
  get numbers(): readonly string[] {
    return [...this.#series.keys()]
  }

  /**
   * Resolves when every row has been answered, or it was stopped.
   * @throws DemoError where a row has failed for good; none of its incident's later rows has been sent then
   */
  async take(rows: AsyncIterable<Row>): Promise<void> {
    try {
      for await (const row of rows) {
        if (this.#isStopped) break
        const series = this.#seriesOf(row)
        await this.#window.enter()
        this.#enqueue(series, row)
      }
    } finally {
      await this.#window.drained()
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  get #isStopped(): boolean {
    return this.#failure !== undefined || this.#signal?.aborted === true
  }

  #enqueue(series: Series, row: Row): void {
    series.rows += 1
    const update = series.rows
    series.last = series.last
      .then(() => (this.#isStopped ? undefined : this.#send(series, row, update)))
      .catch((error: unknown) => this.#fail(row, error))
      .finally(() => this.#window.leave())
  }

  #seriesOf({ line, number }: Row): Series {
    const known = this.#series.get(number)
    if (known !== undefined) return known
    try {
      const series = { ref: this.#node.ref(Incident, number), rows: 0, isOpen: false, last: Promise.resolve() }
      this.#series.set(number, series)
      return series
    } catch (error) {
      throw new DemoError(`line ${line}: ${messageOf(error)}`, { cause: error })
    }
  }

  async #send(series: Series, row: Row, update: number): Promise<void> {
    const { replies } = this
    const report = { ...row.report, update }
    const options = { commandId: deriveId('incident', row.number, update), metadata: { updatedBy: row.updatedBy } }
    // Which of the two it is depends on replies alone, so that it is the same whenever the row comes again.
    const ask = (): Promise<AcceptedRow> =>
      series.isOpen
        ? series.ref.ask('update', report, options)
        : series.ref.ask('open', { ...report, ...row.opening }, options)
    replies.rows += 1
    replies.commands += 1
    try {
      const reply = await persist(ask, this.#signal)
      this.#position = Math.max(this.#position, reply.position)
      replies.accepted += 1
      series.isOpen = true
      this.#onAccepted(row, reply)
    } catch (error) {
      if (!isRejection(error, Incident, 'update')) throw error
      replies.rejected += 1
      replies.rejections[error.code] = (replies.rejections[error.code] ?? 0) + 1
    }
  }

  #fail(row: Row, error: unknown): void {
    const message = `line ${row.line}, incident ${row.number}: ${messageOf(error)}`
    this.#failure ??= new DemoError(message, { cause: error })
  }
}
