/** What faults did to callers: how long they were without an answer, and what they were told instead. */
import type { Observation } from './bank.ts'
import type { NodeProcess } from './node.ts'

/** Of all faults of one kind. */
export class Impact {
  times = 0
  /** For each fault: from there to the moment at which every shard had accepted a command that was sent after it. */
  readonly servedMs: number[] = []
  /** For each fault: the longest that a caller waited for an answer, at a node that was not set apart. */
  readonly longestMs: number[] = []
  /** For each fault and shard: the longest that a caller waited for an answer. */
  readonly pauseMs: number[] = []
  /** For each fault that set nodes apart: the longest that a caller at one of those waited. */
  readonly apartMs: number[] = []
  /** For each fault: from its end to the moment at which every node had had a command accepted by every shard. */
  readonly wellMs: number[] = []
  /** For each fault: the longest that it took from an event to what a reactor did because of it. */
  readonly consequenceMs: number[] = []
  /** Of requests that nobody answered, or whose outcome nobody knows. */
  unknown = 0
  /** Requests that failed, by their code. */
  readonly failures: Record<string, number> = {}
}

/** What callers are told while one fault lasts, and until everything is served again. */
export class Watch {
  /** Nodes that the fault keeps from others, or from answering: what their callers wait for is told on its own. */
  readonly apart: Set<NodeProcess> = new Set()
  readonly #startedAt = performance.now()
  readonly #pauses = new Map<string, number>()
  readonly #failures: Record<string, number> = {}
  #apartMs: number | undefined
  #unknown = 0

  observe({ node, account, invokedAt, returnedAt, answer }: Observation): void {
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
    if (this.apart.has(node)) this.#apartMs = Math.max(this.#apartMs ?? 0, waited)
    else this.#pauses.set(account, Math.max(this.#pauses.get(account) ?? 0, waited))
  }

  /** What was told to callers so far that was no answer; empty where there was nothing of the kind. */
  get failures(): readonly string[] {
    return Object.entries(this.#failures).map(([code, count]) => `${count} × ${code}`)
  }

  /** All is well again. */
  end(
    impact: Impact,
    { servedAt, undoneAt, wellAt }: Readonly<Record<'servedAt' | 'undoneAt' | 'wellAt', number>>,
  ): void {
    impact.times += 1
    impact.servedMs.push(servedAt - this.#startedAt)
    impact.wellMs.push(wellAt - undoneAt)
    if (this.#pauses.size > 0) impact.longestMs.push(Math.max(...this.#pauses.values()))
    impact.pauseMs.push(...this.#pauses.values())
    if (this.#apartMs !== undefined) impact.apartMs.push(this.#apartMs)
    impact.unknown += this.#unknown
    for (const [code, count] of Object.entries(this.#failures)) {
      impact.failures[code] = (impact.failures[code] ?? 0) + count
    }
  }
}
