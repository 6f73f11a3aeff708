import { expect, test } from 'vitest'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import type { Address } from '../../src/log/record.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import type { Plan } from '../../src/testing/simulated-storage.ts'
import { deposit, type Harness } from '../actor/harness.ts'
import { openLog, streamOf, writeEvent } from './noted.ts'
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

/** A segment ends with its second event, and whoever wrote it writes nothing more. */
async function endSegment(disk: SimulatedDisk, plan?: Plan): Promise<Address> {
  const log = await openLog(disk, [0], plan)
  const first = await writeEvent(log, 0)
  log.rollOver()
  const second = await writeEvent(log, 0, { version: 2, previous: first })
  await log.indexed()
  return second
}

test('an index of a batch that was in the page cache alone, and is gone, keeps no shard closed', async () => {
  const disk = new SimulatedDisk()
  let syncs = 0
  const diesAtSecond: Plan = ({ name, path }) =>
    name === 'sync' && path === segmentPath(1, 1) && (syncs += 1) === 3 ? 'die-before' : 'none'
  await expect(endSegment(disk, diesAtSecond)).rejects.toThrow()
  // Whoever takes the shard over makes the index, and dies before it has carried the batch.
  const dies: Plan = ({ name, path }) => (name === 'sync' && path === segmentPath(2, 1) ? 'die-before' : 'none')
  await expect(openLog(disk, [0], dies)).rejects.toThrow()
  const index = disk.files.get(indexPath(1, 1))!
  index.sync()
  index.isNameDurable = true
  disk.losePower(new SeededRandom(1))
  const heir = await openLog(disk, [0])
  const records = await Array.fromAsync(heir.back(heir.placement.stream(streamOf(heir, 0))))
  expect(records.map(({ version }) => version)).toEqual([1])
})

test('a batch that was on the disk, as the index of its writer tells, and is gone, is damage', async () => {
  const disk = new SimulatedDisk()
  const { offset } = await endSegment(disk)
  disk.files.get(segmentPath(1, 1))!.truncate(offset + 8)
  const heir = await openLog(disk, [0])
  expect(heir.refusedShards.get(0)).toMatchObject({ code: 'LogCorrupt', details: { path: segmentPath(1, 1) } })
})
