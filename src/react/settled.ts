/** Waits for what an operator has asked for, which somebody else does: soon at first, then seldom, and not for ever. */
import { pause, type Clock } from '../log/clock.ts'

const FIRST_MS = 20
const LOOK_MS_MAX = 1_000

/** What `look` comes to, once that is something; undefined where it was nothing for so long. */
export async function settled<Result>(
  clock: Clock,
  mostMs: number,
  look: () => Promise<Result | undefined>,
): Promise<Result | undefined> {
  const since = clock.monotonic()
  for (let ms = FIRST_MS; ; ms = Math.min(LOOK_MS_MAX, ms * 2)) {
    const result = await look()
    if (result !== undefined || clock.monotonic() - since >= mostMs) return result
    await pause(clock, ms)
  }
}
