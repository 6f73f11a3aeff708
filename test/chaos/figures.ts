/** What a run amounts to: counts, times, and what was found wrong. */
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
  readonly faults: Record<string, number> = {}
  /** Failures by their code. */
  readonly failures: Record<string, number> = {}
  /** How long nodes took to take the shards over and serve. */
  readonly openMs: number[] = []
  /** From each fault to the first acknowledgement of something that was sent after it. */
  readonly recoverMs: number[] = []
  readonly violations: string[] = []

  fault(kind: string): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1
  }

  failure(code: string): void {
    this.failures[code] = (this.failures[code] ?? 0) + 1
  }
}

/** The median and the maximum; zeroes for none. */
export function spread(values: readonly number[]): { readonly p50: number; readonly max: number } {
  const sorted = values.toSorted((a, b) => a - b)
  return { p50: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}
