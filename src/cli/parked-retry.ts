/** Tries again what is parked: many at once, and all there is, however much. */
import { isPenholdError } from '../aggregate/error.ts'
import type { ParkedRows, Parking, Told, Which } from './parking.ts'

/** What has come of it. */
export interface RetriedAll {
  readonly done: number
  /** The first of those that failed again, and how many did. */
  readonly failed: readonly Told[]
  readonly failures: number
  /** What has ended it before all were tried, or that some are tried still; undefined where all were. */
  readonly error: unknown
}

/** At nodes, which try those of one shard one after the other, and may take a second to begin. */
const TOGETHER = 64
const FAILED_MAX = 1_000

/**
 * Each is tried once, from the oldest on. Where as many as are under way are not done in their time, one after the other, nothing
 * may be: that ends it. So does `signal`, before the next ones.
 */
export async function retryAll(
  parking: Parking,
  which: Which,
  { signal, onTried }: { readonly signal: AbortSignal; readonly onTried: (tried: number, known: number) => void },
): Promise<RetriedAll> {
  const tried = new Set<string>()
  const failed: Told[] = []
  let [done, failures] = [0, 0]
  let error: unknown
  // One that is not done in its time goes on: it was asked for, and need not keep others from that.
  let late: unknown
  let latesInRow = 0
  const retry = async (row: string): Promise<void> => {
    const again = await parking.retry(row)
    latesInRow = 0
    if (again === undefined) done += 1
    else failures += 1
    if (again !== undefined && failed.length < FAILED_MAX) failed.push(again)
  }
  const notTried = (thrown: unknown): void => {
    latesInRow += 1
    if (isPenholdError(thrown, 'Timeout') && latesInRow < TOGETHER) late ??= thrown
    else error ??= thrown
  }
  const worker = async (rows: string[]): Promise<void> => {
    for (let row = rows.shift(); row !== undefined && error === undefined; row = rows.shift()) {
      await retry(row).catch(notTried)
      onTried(done + failures, tried.size)
      if (signal.aborted) error ??= signal.reason
    }
  }
  for (let from: number | undefined = 0; from !== undefined && error === undefined;) {
    const { rows, next }: ParkedRows = await parking.rows(which, from).catch((thrown: unknown) => {
      error ??= thrown
      return { rows: [], next: undefined }
    })
    const untried = rows.filter((row) => !tried.has(row))
    // From the same place on more may come once these have gone.
    const isEnd: boolean = next === from && untried.length === 0
    for (const row of untried) tried.add(row)
    await Promise.all(Array.from({ length: TOGETHER }, () => worker(untried)))
    from = isEnd ? undefined : next
  }
  return { done, failed, failures, error: error ?? late }
}
