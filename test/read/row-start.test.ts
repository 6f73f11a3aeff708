import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { RecordKind } from '../../src/log/record.ts'
import { smash } from '../log/damaged-log.ts'
import { addEvent, openLog, writeEvent } from '../log/noted.ts'
import { startRows, writeEvents } from './followed-rows.ts'

async function roll(log: Log): Promise<void> {
  log.rollOver()
  await log.append(log.cut())
}

test('a row begins behind its place, also where an older event of another shard was carried into a later segment', async () => {
  const disk = new SimulatedDisk()
  await writeEvent(await openLog(disk, [1]), 1)
  const log = await openLog(disk, [0])
  await writeEvents(log, 0, 3)
  const { position } = log.head
  await roll(log)
  await writeEvents(log, 0, 2)
  await roll(log)
  for (const inheritance of await log.inherit([1])) {
    log.open(inheritance)
    await log.append(log.cut())
    await log.serve(inheritance)
  }
  await roll(log)
  await writeEvents(log, 0, 1)
  const { follow, seen, until, stop, positions } = await startRows(disk, log)
  const row = follow(0, position)
  await until(() => seen[0]!.length === 3)
  expect(seen[0]).toEqual([4, 5, 6])
  const other = follow(1)
  await until(() => seen[1]!.length === 1)
  // It is the older one.
  expect(positions.at(-1)).toBeLessThan(position)
  stop.abort()
  await Promise.all([row, other])
})

test('a row misses the event behind its place also where a snapshot that was made of it is all that is left', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await roll(log)
  await writeEvents(log, 0, 2)
  const { position } = log.head
  const lost = await writeEvent(log, 0)
  addEvent(log, 0, log.positions.last, { kind: RecordKind.snapshot })
  await roll(log)
  await log.indexed()
  await writeEvents(log, 0, 1)
  disk.files.delete(indexPath(lost.journal, lost.segment))
  smash(disk, lost.offset, segmentPath(lost.journal, lost.segment))
  const { follow, seen, until } = await startRows(disk, log)
  let problem: unknown
  void follow(0, position).catch((error: unknown) => (problem = error))
  await until(() => problem !== undefined || seen[0]!.length > 0)
  expect(seen[0]).toEqual([])
  expect(problem).toMatchObject({ code: 'LogCorrupt' })
})
