import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, type Frontier } from '../../src/read/all.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { smash } from '../log/damaged-log.ts'
import { openLog, writeEvent } from '../log/noted.ts'
import { startRows, writeEvents } from './followed-rows.ts'

/** Two segments, of which the first ends with the third event of five, which is lost, and has no index. */
async function harmedLog() {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvents(log, 0, 2)
  const { position } = log.head
  log.rollOver()
  const lost = await writeEvent(log, 0)
  await writeEvents(log, 0, 2)
  await log.indexed()
  disk.files.delete(indexPath(1, 1))
  const { live } = disk.files.get(segmentPath(1, 1))!
  const whole = live.slice()
  smash(disk, lost.offset)
  return { disk, log, position, mend: () => live.set(whole) }
}

test('a row that was stopped by what its segment lacked has it once it is mended', async () => {
  const { disk, log, position, mend } = await harmedLog()
  const { follow, seen, until, stop } = await startRows(disk, log)
  await expect(follow(0, position)).rejects.toMatchObject({ code: 'LogCorrupt' })
  mend()
  const row = follow(0, position)
  await until(() => seen[0]!.length === 3)
  expect(seen[0]).toEqual([3, 4, 5])
  stop.abort()
  await row
})

test('so has whoever reads everything', async () => {
  const { disk, log, position, mend } = await harmedLog()
  const storage = new SimulatedStorage(disk)
  const catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64('test', 0), shards: 2 })
  const read = async (): Promise<number[]> => {
    const reader = new AllReader(catalog, { after: { position, shard: 0 } })
    const pages = await Array.fromAsync(reader.advance(frontierOf(log)))
    return pages.flat().map(({ seq }) => seq)
  }
  await expect(read()).rejects.toMatchObject({ code: 'LogCorrupt' })
  mend()
  expect(await read()).toEqual([3, 4, 5])
})

function frontierOf(log: Log): Frontier {
  const reigns = new Map([0, 1].map((shard) => [shard, log.reigns(shard)]))
  return { reigns, ends: new Map([[log.head.journal, log.head.end]]), position: log.head.position }
}
