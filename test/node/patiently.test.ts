import { expect, test } from 'vitest'
import { clusterNameTaken, leasesUnavailable } from '../../src/cluster/leases.ts'
import { patiently } from '../../src/node/patiently.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const away = leasesUnavailable('it stalls', 'redis:6379')

/** Asks a store that is away for the first `ms`, and then fails with `then` or answers; when that was, and what came of it. */
async function ask(ms: number, then?: Error): Promise<readonly [ms: number, outcome: unknown]> {
  const clock = new SimulatedClock()
  const begun = clock.monotonic()
  const asked = patiently(clock, async () => {
    if (clock.monotonic() - begun < ms) throw away
    if (then !== undefined) throw then
  })
  let ended: readonly [number, unknown] | undefined
  const end = (outcome: unknown): unknown => (ended = [clock.monotonic() - begun, outcome])
  void asked.then(end, end)
  for (let passed = 0; ended === undefined && passed < 60_000; passed += 50) {
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(50)
  }
  return ended!
}

test('a store that stalls for a few seconds keeps no node from starting', async () => {
  for (const ms of [0, 100, 4_900]) expect((await ask(ms))[1]).toBe(undefined)
})

test('one that is away for longer is told of', async () => {
  const [ms, outcome] = await ask(Infinity)
  expect(outcome).toBe(away)
  expect(ms).toBeGreaterThanOrEqual(5_000)
  expect(ms).toBeLessThan(6_000)
})

test('what it refuses is not asked again', async () => {
  const known = { clusterId: 'other', shards: 4 }
  const refusal = clusterNameTaken('bank', { known, told: { clusterId: 'own', shards: 4 } }, 'choose another')
  const [ms, outcome] = await ask(300, refusal)
  expect(outcome).toBe(refusal)
  expect(ms).toBeLessThan(1_000)
})
