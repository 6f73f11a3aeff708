import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { acceptLoss } from '../../src/log/losses.ts'
import type { Address } from '../../src/log/record.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { segmentPath } from '../../src/log/path.ts'
import { smash } from '../log/damaged-log.ts'
import { openLog, writeEvent } from '../log/noted.ts'
import { startRows } from './followed-rows.ts'

/** Shard 0 has an owner that lost an event, as was accepted, and whose last batch is to be carried over. */
async function ownerWithLoss(): Promise<{ disk: SimulatedDisk; former: Log; heir: Log }> {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  await writeEvent(former, 0)
  const at = await writeEvent(former, 0)
  for (let i = 0; i < 6; i += 1) await writeEvent(former, 0)
  lose(disk, at)
  await acceptLoss(new SimulatedStorage(disk), at, { from: at.offset - 200, to: at.offset + 400 })
  return { disk, former, heir: await openLog(disk, []) }
}

function lose(disk: SimulatedDisk, { journal, segment, offset }: Address): void {
  smash(disk, offset, segmentPath(journal, segment))
}

async function takeOver(heir: Log): Promise<void> {
  for (const inheritance of await heir.inherit([0])) {
    heir.open(inheritance)
    await heir.append(heir.cut())
    await heir.serve(inheritance)
  }
}

test('what was accepted as lost before the last event that was handed out excuses nothing behind it, also where that one was carried over', async () => {
  const { disk, former, heir } = await ownerWithLoss()
  const { follow, seen, held, losses, until } = await startRows(disk, former, heir)
  const release = Promise.withResolvers<void>()
  let problem: unknown
  const row = follow(0).catch((error: unknown) => (problem = error))
  await until(() => seen[0]!.length === 7)
  held[0] = release.promise
  await takeOver(heir)
  const missing = await writeEvent(heir, 0)
  await writeEvent(heir, 0)
  lose(disk, missing)
  release.resolve()
  await until(() => problem !== undefined)
  await row
  expect(problem).toMatchObject({ code: 'LogCorrupt' })
  expect(seen[0]).toEqual([1, 3, 4, 5, 6, 7, 8])
  expect(losses).toEqual([{ shard: 0, firstSeq: 2, lastSeq: 2 }])
})
