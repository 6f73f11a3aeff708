import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { acceptLoss, type Loss } from '../../src/log/losses.ts'
import { segmentPath } from '../../src/log/path.ts'
import type { Address } from '../../src/log/record.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, type AcceptedLoss } from '../../src/read/all.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { addEvent, openLog, writeEvent } from '../log/noted.ts'

/** Everything that there is, by shard and `seq`, as the owner of both shards has it. */
async function readAll(disk: SimulatedDisk, owner: Log, ...upTo: readonly number[]) {
  const seen: string[] = []
  const losses: AcceptedLoss[] = []
  const { head } = owner
  const reigns = new Map([0, 1].map((shard) => [shard, owner.reigns(shard)]))
  const ends = new Map([[head.journal, head.end]])
  const [storage, clock] = [new SimulatedStorage(disk), new SimulatedClock()]
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const reader = new AllReader(catalog, { onLoss: (loss) => losses.push(loss) })
  for (const position of [...upTo, head.position]) {
    const pages = await Array.fromAsync(reader.advance({ reigns, ends, position }))
    seen.push(...pages.flat().map(({ shard, seq }) => `${shard}/${seq}`))
  }
  return { seen, losses }
}

/** The journal ends there. */
function cutAt(disk: SimulatedDisk, { journal, segment, offset }: Address): void {
  disk.files.get(segmentPath(journal, segment))!.truncate(offset)
}

async function accept(disk: SimulatedDisk, place: Address, loss: Loss): Promise<void> {
  await acceptLoss(new SimulatedStorage(disk), place, loss)
}

test('whoever reads everything misses the end of a segment, though nothing of its shard follows', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvent(log, 0)
  const { offset } = log.head.end
  const lost = addEvent(log, 0, log.positions.next())
  log.rollOver()
  await log.append(log.cut())
  await writeEvent(log, 1)
  expect((await readAll(disk, log)).seen).toEqual(['0/1', '0/2', '1/1'])
  cutAt(disk, lost)
  await expect(readAll(disk, log)).rejects.toMatchObject({ code: 'LogCorrupt' })
  await accept(disk, lost, { from: offset })
  expect((await readAll(disk, log)).seen).toEqual(['0/1', '1/1'])
})

test('and that of a journal which was taken over from', async () => {
  const disk = new SimulatedDisk()
  const former = await openLog(disk, [0, 1])
  await writeEvent(former, 0)
  const { position } = former.head
  const { offset } = former.head.end
  const lost = await writeEvent(former, 0)
  await writeEvent(former, 1)
  const heir = await openLog(disk, [0, 1])
  expect((await readAll(disk, heir)).seen).toEqual(['0/1', '0/2', '1/1'])
  cutAt(disk, lost)
  await expect(readAll(disk, heir)).rejects.toMatchObject({ code: 'LogCorrupt' })
  await expect(readAll(disk, heir, position)).rejects.toMatchObject({ code: 'LogCorrupt' })
  await accept(disk, lost, { from: offset })
  const read = await readAll(disk, heir)
  expect(read).toEqual({ seen: ['0/1', '1/1'], losses: [{ shard: 0, firstSeq: 2, lastSeq: 2 }] })
})
