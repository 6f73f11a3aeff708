import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Fault } from '../../src/testing/simulated-storage.ts'
import { diskFault, strikeAt } from '../actor/disk-faults.ts'
import { SimulatedShop, STORIES } from './simulated-shop.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 10),
}

/** To die behind a step is nearly to die before the next: so each step has one of them, but where more runs are asked for. */
const kindsAt = (at: number): readonly Fault[] =>
  process.env['PENHOLD_RUNS'] === undefined ? [at % 2 === 0 ? 'die-before' : 'die-after'] : ['die-before', 'die-after']

test('orders are shipped, or cancelled with their money back', async () => {
  const shop = new SimulatedShop(STORIES, 1)
  expect((await shop.live()).isDone).toBe(true)
  await shop.check()
})

test('a crash at each step of their life changes nothing', { timeout: 300_000 }, async () => {
  const { steps } = await new SimulatedShop(STORIES, 1).live()
  for (let at = 1; at <= steps; at += 1) {
    for (const kind of kindsAt(at)) {
      const shop = new SimulatedShop(STORIES, 1)
      await shop.live(strikeAt(at, kind))
      // What was written and not synced is lost, or not.
      if (at % 4 < 2) shop.disk.losePower(shop.random)
      expect((await shop.live()).isDone, `${kind} at step ${at}`).toBe(true)
      await shop.check()
    }
  }
})

test('crashes, failing disks and power loss, again and again, change nothing', { timeout: 300_000 }, async () => {
  const story = fc.record({
    stories: fc.array(fc.constantFrom(...STORIES), { minLength: 1, maxLength: 3 }),
    faults: fc.array(diskFault, { maxLength: 4 }),
    seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  })
  await fc.assert(
    fc.asyncProperty(story, async ({ stories, faults, seed }) => {
      const shop = new SimulatedShop(stories, seed)
      for (const { at, kind, losesPower } of faults) {
        await shop.live(strikeAt(at, kind))
        if (losesPower) shop.disk.losePower(shop.random)
      }
      expect((await shop.live()).isDone).toBe(true)
      await shop.check()
    }),
    { ...parameters, interruptAfterTimeLimit: 120_000 },
  )
})

/** Once its timer was never fired: a minute passed at once while that was asked for, again and again. */
test('an order whose shard could not be read for a while is cancelled', async () => {
  const shop = new SimulatedShop(['unpaid'], 2_147_483_628)
  await shop.live(strikeAt(56, 'die-before'))
  await shop.live(strikeAt(1, 'die-before'))
  await shop.live(strikeAt(12, 'fail'))
  expect((await shop.live()).isDone).toBe(true)
  await shop.check()
})
