/** What a run amounts to: counts, times, and what was found wrong. */
import type { Impact } from './impact.ts'
import type { ReactionFigures } from './reactions/reactions.ts'
import type { ReadModelFigures } from './read-models.ts'

export class Figures {
  cycles = 0
  /** Commands by id; each may have been sent several times. */
  commands = 0
  sendings = 0
  acknowledged = 0
  /** Rejected, or nothing was to be done. */
  declined = 0
  failedDefinitely = 0
  unknown = 0
  reads = 0
  /** Events that the checks found in the log. */
  events = 0
  checks = 0
  /** Events that everybody who reads everything has heard of by the last check. */
  heard = 0
  /** Where nodes run projections. */
  readModels: ReadModelFigures | undefined
  /** Where nodes react. */
  reactions: ReactionFigures | undefined
  readonly faults: Record<string, number> = {}
  /** Failures by their code. */
  readonly failures: Record<string, number> = {}
  /** How long nodes took to take the shards over and serve. */
  readonly openMs: number[] = []
  /** From each fault to the first acknowledgement of something that was sent after it. */
  readonly recoverMs: number[] = []
  /** What each kind of fault did to callers, where the scenario looks at that. */
  readonly impacts: Map<string, Impact> = new Map()
  readonly violations: string[] = []
  /** What the machine did not allow. */
  readonly leftOut: string[] = []

  fault(kind: string): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1
  }

  failure(code: string): void {
    this.failures[code] = (this.failures[code] ?? 0) + 1
  }
}

export interface Spread {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** The median, the 99th percentile and the maximum; zeroes for none. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 }
}
