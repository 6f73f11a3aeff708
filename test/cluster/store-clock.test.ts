import { expect, test } from 'vitest'
import { StoreClock } from '../../src/cluster/store-clock.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

function start() {
  const clock = new SimulatedClock()
  const warnings: string[] = []
  return { clock, warnings, store: new StoreClock(clock, (message) => warnings.push(message)) }
}

test("the store's time is known between its answers, whatever this machine's clock is set to", () => {
  const { clock, store } = start()
  expect(store.time).toBeUndefined()
  store.hear(1_000_000)
  clock.jump(-7_200_000)
  clock.advance(1_500)
  expect(store.time).toBe(1_001_500)
  store.hear(500_000)
  expect(store.time).toBe(500_000)
})

test('a clock that is a minute off is told of, once until it is right again; one late answer says nothing', () => {
  const { clock, store, warnings } = start()
  const hear = (aheadMs: number): void => store.hear(clock.now() + aheadMs)
  for (const aheadMs of [0, 60_000, -60_000, -60_001, 0, 60_001, 0]) hear(aheadMs)
  expect(warnings).toEqual([])
  for (const aheadMs of [120_000, 120_000, 120_000, 0, -7_200_000, -7_200_000]) hear(aheadMs)
  expect(warnings).toEqual([
    expect.stringMatching("^the clock of this machine is 120 s behind the lease store's: events get its times"),
    expect.stringMatching("^the clock of this machine is 7200 s ahead of the lease store's"),
  ])
})
