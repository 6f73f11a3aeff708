/** Tries again what is parked: many at once, and all there is, however much. */
import type { Parking, Told, Which } from './parking.ts'

/** What has come of it. */
export interface RetriedAll {
  readonly done: number
  /** The first of those that failed again, and how many did. */
  readonly failed: readonly Told[]
  readonly failures: number
  /** What was not tried, as those that can be listed all fail. */
  readonly isWhole: boolean
  /** What has ended it before all were tried. */
  readonly error: unknown
}

/** At nodes, which try those of one shard one after the other. */
const TOGETHER = 16
export const FAILED_MAX = 1_000

/** Each is tried once. `signal` ends it before the next one. */
export async function retryAll(
  parking: Parking,
  which: Which,
  { signal, onTried }: { readonly signal: AbortSignal; readonly onTried: (tried: number, known: number) => void },
): Promise<RetriedAll> {
  const tried = new Set<string>()
  const failed: Told[] = []
  let [done, failures, isWhole] = [0, 0, true]
  let error: unknown
  const retry = async (row: string): Promise<void> => {
    const again = await parking.retry(row)
    if (again === undefined) done += 1
    else failures += 1
    if (again !== undefined && failed.length < FAILED_MAX) failed.push(again)
  }
  const worker = async (rows: string[]): Promise<void> => {
    for (let row = rows.shift(); row !== undefined && error === undefined; row = rows.shift()) {
      await retry(row).catch((thrown: unknown) => (error ??= thrown))
      onTried(done + failures, tried.size)
      if (signal.aborted) error ??= signal.reason
    }
  }
  for (;;) {
    const known = await parking.rows(which)
    const untried = known.rows.filter((row) => !tried.has(row))
    isWhole = known.isWhole
    if (untried.length === 0 || error !== undefined) return { done, failed, failures, isWhole, error }
    for (const row of untried) tried.add(row)
    await Promise.all(Array.from({ length: Math.min(TOGETHER, untried.length) }, () => worker(untried)))
    if (which.stream !== undefined || which.message !== undefined) return { done, failed, failures, isWhole, error }
  }
}
