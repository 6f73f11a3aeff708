import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { acceptLoss } from '../../src/log/losses.ts'
import { segmentPath } from '../../src/log/path.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { recordsOf, smash } from '../log/damaged-log.ts'
import { addEvent, openLog } from '../log/noted.ts'
import { startRows, writeEvents } from './followed-rows.ts'

/** An owner that has carried two events over, of which the second is harmed, and has written none. */
async function ownerWithHarm(): Promise<{ disk: SimulatedDisk; log: Log; offset: number }> {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0])
  for (let event = 0; event < 2; event += 1) addEvent(former, 0, former.positions.next())
  await former.append(former.cut())
  const log = await openLog(disk, [0])
  log.mark(log.positions.next())
  await log.append(log.cut())
  const offset = (await recordsOf(disk, 0, 1, log.journal))[2]!
  smash(disk, offset, segmentPath(log.journal, 1))
  return { disk, log, offset }
}

test('the last event that an owner has carried over is missed, though nothing follows that would show it', async () => {
  const { disk, log } = await ownerWithHarm()
  const { follow, seen, until, places } = await startRows(disk, log)
  let problem: unknown
  void follow(0).catch((error: unknown) => (problem = error))
  await until(() => problem !== undefined || places[0] === log.openedShards[0]!.position)
  expect(problem).toMatchObject({ code: 'LogCorrupt' })
  expect(seen[0]).toEqual([1])
})

test('where that is accepted as lost a row is told of it, and goes on', async () => {
  const { disk, log } = await ownerWithHarm()
  await acceptLoss(
    new SimulatedStorage(disk),
    { journal: log.journal, segment: 1 },
    { from: 0, to: log.head.end.offset },
  )
  const { follow, seen, until, places, losses, stop } = await startRows(disk, log)
  const row = follow(0)
  await until(() => places[0] === log.openedShards[0]!.position)
  expect(losses).toEqual([{ shard: 0, firstSeq: 2, lastSeq: 2 }])
  await writeEvents(log, 0, 1)
  await until(() => seen[0]!.length === 2)
  expect(seen[0]).toEqual([1, 3])
  expect(losses.length).toBe(1)
  stop.abort()
  await row
})
