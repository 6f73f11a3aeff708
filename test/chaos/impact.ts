/** What faults did to callers: how long they were without an answer, and what they were told instead. */
import type { Observation } from './bank.ts'

/** Of all faults of one kind. */
export class Impact {
  times = 0
  /** From each fault to the moment at which every shard had accepted a command that was sent after it. */
  readonly servedMs: number[] = []
  /** For each fault and shard: the longest that a caller waited for an answer. */
  readonly pauseMs: number[] = []
  /** Of requests that nobody answered, or whose outcome nobody knows. */
  unknown = 0
  /** Requests that failed, by their code. */
  readonly failures: Record<string, number> = {}
}

/** What callers are told while one fault lasts, and until everything is served again. */
export class Watch {
  readonly #startedAt = performance.now()
  readonly #pauses = new Map<string, number>()
  readonly #failures: Record<string, number> = {}
  #unknown = 0

  observe({ account, invokedAt, returnedAt, answer }: Observation): void {
    if (answer === undefined) {
      this.#unknown += 1
      return
    }
    // A look at a version that was never reached is answered with that.
    if (answer.kind === 'failed' && answer.code !== 'NoSuchEvent') {
      this.#failures[answer.code] = (this.#failures[answer.code] ?? 0) + 1
      if (answer.outcome === 'unknown') this.#unknown += 1
    }
    const waited = returnedAt - Math.max(invokedAt, this.#startedAt)
    this.#pauses.set(account, Math.max(this.#pauses.get(account) ?? 0, waited))
  }

  /** What was told to callers so far that was no answer; empty where there was nothing of the kind. */
  get failures(): readonly string[] {
    return Object.entries(this.#failures).map(([code, count]) => `${count} × ${code}`)
  }

  /** Every shard has accepted something since the fault. */
  end(impact: Impact, servedAt: number): void {
    impact.times += 1
    impact.servedMs.push(servedAt - this.#startedAt)
    for (const pause of this.#pauses.values()) impact.pauseMs.push(pause)
    impact.unknown += this.#unknown
    for (const [code, count] of Object.entries(this.#failures)) {
      impact.failures[code] = (impact.failures[code] ?? 0) + count
    }
  }
}
