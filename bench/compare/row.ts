/** One line of the outcome: a peer measured on a workload, or a peer that cannot run here. */
export type Row = MeasuredRow | UnavailableRow

export type MeasuredRow = {
  readonly kind: 'measured'
  readonly peer: string
  readonly version: string
  readonly workload: 'W1' | 'W2' | 'W3'
  readonly accepted: number
  readonly rejected: number
  readonly seconds: number
  readonly acceptedPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Events found in the store afterwards; they and their balances were what the acknowledgements had promised. */
  readonly eventsVerified: number
}

type UnavailableRow = { readonly kind: 'unavailable'; readonly peer: string; readonly reason: string }
