/** Readers of everything that are ahead of what they were told of owners. */
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, type Frontier } from '../../src/read/all.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog, writeEvent } from '../log/noted.ts'

function frontierOf(...owners: readonly (readonly [log: Log, shards: readonly number[]])[]): Frontier {
  const reigns = owners.flatMap(([log, shards]) => shards.map((shard) => [shard, log.reigns(shard)] as const))
  const ends = owners.map(([{ head }]) => [head.journal, head.end] as const)
  const position = Math.min(...owners.map(([{ head }]) => head.position))
  return { reigns: new Map(reigns), ends: new Map(ends), position }
}

test('whoever begins at an event goes on behind it, also where an owner had carried it over before that one was told of', async () => {
  const disk = new SimulatedDisk()
  const heir = await openLog(disk, [1])
  const former = await openLog(disk, [0])
  await writeEvent(former, 0)
  await writeEvent(former, 0)
  const { position } = former.head
  const [inheritance] = await heir.inherit([0])
  heir.open(inheritance!)
  await heir.append(heir.cut())
  const storage = new SimulatedStorage(disk)
  const catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64('test', 0), shards: 2 })
  const reader = new AllReader(catalog, { after: { position, shard: 0 } })
  const seqsUpTo = async (frontier: Frontier): Promise<number[]> => {
    const pages = await Array.fromAsync(reader.advance(frontier))
    return pages.flat().map(({ seq }) => seq)
  }
  expect(await seqsUpTo({ ...frontierOf([former, [0]], [heir, [1]]), position })).toEqual([])
  await heir.serve(inheritance!)
  await writeEvent(heir, 0)
  expect(await seqsUpTo(frontierOf([heir, [0, 1]]))).toEqual([3])
})
