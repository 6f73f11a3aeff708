const FIRST_MS = 100
const MS_MAX = 10_000

/** How long to wait after so many attempts that failed: twice as long each time, up to 10 s. */
export function backOffMs(attempts: number): number {
  return Math.min(MS_MAX, FIRST_MS * 2 ** (attempts - 1))
}
