/**
 * One reading that a node holds for somebody elsewhere: what comes of it, cut into pages. It reads ahead of what was asked
 * for by one run, and no further.
 */
import { replyTooLarge } from '../actor/error.ts'
import type { Clock } from '../log/clock.ts'
import type { LogRecord } from '../log/record.ts'
import { ENTRY_BYTES_MAX } from './link.ts'
import type { OutgoingPage, ReadingPlace } from './reading-frames.ts'

/** Some of what is read. */
export interface ReadingRun {
  readonly records: readonly LogRecord[]
  /** Behind all that was looked at up to here, be it wanted or not. */
  readonly place?: ReadingPlace | undefined
  /** Where the reading ends; said once. */
  readonly until?: ReadingPlace | undefined
  /** Nothing comes behind it. */
  readonly isLast?: boolean
  /** For the moment nothing more is there: what was read need not wait for company. */
  readonly isLevel?: boolean
}

type Came = IteratorResult<ReadingRun, void> | { readonly error: unknown }

/** A page ends once it has so many bytes. */
const PAGE_BYTES = 1024 * 1024
/** What is there waits so long for what else there is. */
const FILL_MS = 10
/** Where nothing comes, how far was looked is told after so long. */
const PATIENCE_MS = 5_000

export class HeldReading {
  readonly #runs: AsyncGenerator<ReadingRun, void>
  readonly #clock: Clock
  readonly #stopping: AbortController
  /** Whether a run is being read, or is here, and what came of it; with whom to tell. */
  #isComing = false
  #came: Came | undefined
  #onCame: () => void = () => undefined
  /** The run that is being handed out, and how much of it was. */
  #run: ReadingRun = { records: [] }
  #taken = 0
  #place: ReadingPlace | undefined
  #until: ReadingPlace | undefined
  #isDone = false

  /** `stopping` is the signal that the runs end by. */
  constructor(runs: AsyncGenerator<ReadingRun, void>, clock: Clock, stopping: AbortController) {
    this.#runs = runs
    this.#clock = clock
    this.#stopping = stopping
  }

  /**
   * What comes next, as soon as something does; after a while also nothing. One at a time.
   * @throws what the reading has failed with; PenholdError `TooLarge` where an event fits into no page
   */
  async page(): Promise<OutgoingPage> {
    const records: LogRecord[] = []
    let [bytes, isFull] = [0, false]
    let deadline = this.#clock.monotonic() + PATIENCE_MS
    for (;;) {
      const isFirst = records.length === 0
      for (; this.#taken < this.#run.records.length && !isFull; this.#taken += 1) {
        const record = this.#run.records[this.#taken]!
        if (record.length > ENTRY_BYTES_MAX) throw replyTooLarge(record.length, ENTRY_BYTES_MAX, 'none')
        isFull = bytes > 0 && bytes + record.length > PAGE_BYTES
        if (isFull) break
        bytes += record.length
        records.push(record)
      }
      if (isFirst && records.length > 0) deadline = this.#clock.monotonic() + FILL_MS
      if (isFull || this.#isDone || (records.length > 0 && this.#run.isLevel === true)) break
      const isRead = await this.#readOn(deadline - this.#clock.monotonic(), records.length > 0)
      if (!isRead) break
    }
    return this.#pageOf(records)
  }

  /** Lets go of everything. */
  close(): void {
    this.#stopping.abort()
    this.#runs.return().catch(() => undefined)
  }

  #pageOf(records: readonly LogRecord[]): OutgoingPage {
    const isWhole = this.#taken === this.#run.records.length
    // Of a run that is handed out in parts the last record says where to go on.
    const place = isWhole ? this.#place : undefined
    const page = { records, place, until: this.#until, isLast: this.#isDone && isWhole }
    this.#until = undefined
    if (isWhole) this.#place = undefined
    if (isWhole && !this.#isDone) this.#begin()
    return page
  }

  /** Whether there is another run, or none any more, within so long. What has failed is told once all before it was. */
  async #readOn(ms: number, hasRecords: boolean): Promise<boolean> {
    if (ms <= 0) return false
    this.#begin()
    if (this.#came === undefined) await this.#cameWithin(ms)
    const came = this.#came
    if (came === undefined) return false
    if ('error' in came) {
      if (hasRecords) return false
      throw came.error
    }
    this.#came = undefined
    this.#isComing = false
    this.#taken = 0
    this.#run = came.done === true ? { records: [] } : came.value
    this.#isDone = came.done === true || came.value.isLast === true
    // One of before these events would say less than the last of them does.
    this.#place = this.#run.records.length > 0 ? this.#run.place : (this.#run.place ?? this.#place)
    this.#until = this.#run.until ?? this.#until
    return true
  }

  #begin(): void {
    if (this.#isComing) return
    this.#isComing = true
    const take = (came: Came): void => {
      this.#came = came
      this.#onCame()
    }
    this.#runs.next().then(take, (error: unknown) => take({ error }))
  }

  /** Not by a race: what comes may take for ever, and would keep all who have ever waited for it. */
  #cameWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve)
      this.#onCame = () => {
        cancel()
        resolve()
      }
    })
  }
}
