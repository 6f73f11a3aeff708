import { expect } from 'vitest'

const TIMES_MAX = 6

/**
 * Sees that an aggregate is left alone whose handler has just held its thread, however it is asked. That lasts for a second at
 * first, which may be over on a machine that stalls before anybody has asked: then the handler holds its thread again, and the
 * aggregate is left alone for twice as long. Resolves with how often that was.
 */
export async function expectLeftAlone(
  asks: readonly (() => Promise<unknown>)[],
  hold: () => Promise<unknown>,
): Promise<number> {
  for (let times = 0; ; times += 1) {
    const outcomes = await Promise.allSettled(asks.map((ask) => ask()))
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    for (const error of refused) expect(error).toMatchObject({ code: 'HandlerStuck', retryable: true })
    if (refused.length === asks.length) return times
    expect(times, 'it was never left alone').toBeLessThan(TIMES_MAX)
    await expect(hold()).rejects.toMatchObject({ code: 'HandlerStuck' })
  }
}
