import { expect, test } from 'vitest'
import { OlderIds } from '../../src/actor/older-ids.ts'

/** Of ids that were never added, how many are taken for ones that were. */
function mistaken(older: OlderIds): number {
  let found = 0
  for (let n = 0; n < 10_000; n += 1) if (older.mayHave(`other ${n}`)) found += 1
  return found
}

test('what was added is never missed, and its memory has a bound, beyond which more is taken for what was added', () => {
  const older = new OlderIds(8_192)
  const add = (from: number, to: number): void => {
    for (let n = from; n < to; n += 1) older.add(`id ${n}`, n)
  }
  add(0, 15_000)
  const { bytes } = older
  expect(bytes).toBeLessThan(64 * 1024)
  expect(mistaken(older)).toBeLessThan(10)
  add(15_000, 60_000)
  expect(older.bytes).toBe(bytes)
  expect(mistaken(older)).toBeGreaterThan(100)
  expect(mistaken(older)).toBeLessThan(10_000)
  for (let n = 0; n < 60_000; n += 1) expect(older.mayHave(`id ${n}`)).toBe(true)
  expect(older.last).toBe(59_999)
})
