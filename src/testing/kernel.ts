/**
 * The kernel of the simulator: what will happen, in the order of simulated time, one thing after the other on one
 * thread. Between two events everything that follows from the first, every promise it settles, has come to its end;
 * so that a run depends on nothing but its seed.
 */

export type Cancel = () => void

interface Entry {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

export interface RunLimits {
  /** Simulated milliseconds from the kernel's beginning. */
  readonly untilMs: number
  /** Ends the run earlier, looked at after every event. */
  readonly isDone?: () => boolean
}

/** So many events without an end are a loop of the program under test. */
const EVENTS_MAX = 5_000_000

export class Kernel {
  readonly #heap: Entry[] = []
  #now = 0
  #order = 0
  #events = 0
  #trace = 0x811c9dc5

  /** Simulated milliseconds since the kernel began. */
  get now(): number {
    return this.#now
  }
  get events(): number {
    return this.#events
  }
  /** A hash of all that was noted, with its times: two runs with the same hash went the same way. */
  get trace(): number {
    return this.#trace >>> 0
  }

  /** Runs the callback after so many simulated milliseconds; among those of one moment, in the order of the calls. */
  after(ms: number, callback: () => void): Cancel {
    const entry: Entry = { at: this.#now + Math.max(0, ms), order: (this.#order += 1), run: callback }
    this.#push(entry)
    return () => {
      entry.run = undefined
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Makes something part of the trace. */
  note(what: string): void {
    let hash = Math.imul(this.#trace ^ Math.round(this.#now * 1000), 0x01000193)
    for (let i = 0; i < what.length; i += 1) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193)
    this.#trace = hash
  }

  /** Lets things happen. Returns whether it was done before the time was up. */
  async run({ untilMs, isDone = () => false }: RunLimits): Promise<boolean> {
    await settle()
    while (!isDone()) {
      const next = this.#heap[0]
      if (next === undefined || next.at > untilMs) {
        this.#now = Math.max(this.#now, untilMs)
        return isDone()
      }
      this.#pop()
      if (next.run === undefined) continue
      this.#now = next.at
      this.#events += 1
      if (this.#events > EVENTS_MAX) throw new Error(`${EVENTS_MAX} events and no end at ${this.#now} ms`)
      next.run()
      await settle()
    }
    return true
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let i = heap.push(entry) - 1
    while (i > 0) {
      const parent = (i - 1) >>> 1
      if (isBefore(heap[parent]!, entry)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (isBefore(last, heap[child]!)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** The event loop's own turn comes only when no promise is left to settle. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
