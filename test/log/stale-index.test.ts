import { expect, test } from 'vitest'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { deposit, type Harness } from '../actor/harness.ts'
import { emptyDisk, openPurses } from './small-log.ts'

test('an index that was made of a living journal does not hide what its writer wrote behind it', async () => {
  const disk = emptyDisk()
  let wake = (): void => undefined
  const isAwake = new Promise<'none'>((resolve) => (wake = () => resolve('none')))
  // It has its journal, and is stopped in the middle of its claims.
  const opening = openPurses(disk, new SimulatedClock(), ({ path }) =>
    path.includes('shards/00001/') ? isAwake : 'none',
  )
  while (!disk.files.has('shards/00000/0000000001.claim')) await Promise.resolve()
  // Another claims what it has claimed, reads its journal, and makes an index of it.
  await openPurses(disk)
  expect(disk.files.has(indexPath(1, 1))).toBe(true)
  wake()
  const first: Harness = await opening
  let balance = 0
  while (!disk.files.has(segmentPath(1, 2))) {
    for (const stream of ['purse/a', 'purse/b', 'purse/c', 'purse/d']) {
      if (!first.log.owns(first.log.placement.stream(stream).shard)) continue
      expect(await first.ask(deposit(stream, 1))).toMatchObject({ kind: 'accepted' })
      balance += 1
    }
  }
  const heir = await openPurses(disk)
  let found = 0
  for (const stream of ['purse/a', 'purse/b', 'purse/c', 'purse/d'])
    found += ((await heir.query(stream, 'balance')) as { value: number }).value
  expect(found).toBe(balance)
})
