/** A wheel that has as many timers in memory as it may, while it reads more. */
import { expect, test } from 'vitest'
import { TimerWorld } from './timer-world.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HELD_MAX = 16

test('what is set while a bucket is read leaves room for that, and nothing that the bucket has left is lost', async () => {
  const world = new TimerWorld({ heldMax: HELD_MAX })
  let set = 0
  const setAt = (at: number): void => world.set((set += 1), at - world.kernel.now)
  let most = 0
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await world.wait(1)
      most = Math.max(most, world.life.held)
    }
  }
  const sooner = 3 * MINUTE - SECOND
  setAt(sooner)
  for (let i = 0; i < 100; i += 1) {
    setAt(3 * MINUTE + i * 500)
    await world.wait(100)
  }
  await until(() => world.kernel.now > 2.5 * MINUTE)
  // The bucket of the many is being read.
  const { loads } = world
  await until(() => world.loads > loads)
  for (let i = 1; i < HELD_MAX; i += 1) setAt(sooner)
  await until(() => world.kernel.now > 3 * MINUTE - 2 * SECOND)
  // Behind all that is left of it.
  setAt(4 * MINUTE - 1)
  await until(() => world.kernel.now > 6 * MINUTE)
  expect([...world.pending]).toEqual([])
  expect(world.fired).toHaveLength(set)
  expect(most).toBeLessThanOrEqual(HELD_MAX)
})
