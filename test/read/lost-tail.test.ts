import { expect, test } from 'vitest'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader } from '../../src/read/all.ts'
import { openLog, writeEvent } from '../log/noted.ts'

test('$all reads past a seal behind a batch that a power loss took back, and that had nothing of the shard', async () => {
  for (let seed = 0; seed < 10; seed += 1) {
    const disk = new SimulatedDisk()
    let dies = false
    const a = await openLog(disk, [0, 1], ({ name }) => (dies && name === 'sync' ? 'die-before' : 'none'))
    await writeEvent(a, 0)
    await writeEvent(a, 1)
    dies = true
    await writeEvent(a, 0).catch(() => undefined)
    const b = await openLog(disk, [1])
    await writeEvent(b, 1)
    disk.losePower(new SeededRandom(seed))
    const c = await openLog(disk, [0, 1])
    expect(c.refusedShards.size).toBe(0)
    const reigns = new Map(c.ownedShards.map(({ shard }) => [shard, c.reigns(shard)]))
    const catalog = new Catalog({
      storage: new SimulatedStorage(disk),
      clock: new SimulatedClock(),
      cluster: hash64('test', 0),
      shards: 2,
    })
    const frontier = { reigns, ends: new Map([[c.head.journal, c.head.end]]), position: Number.MAX_SAFE_INTEGER }
    for await (const _ of new AllReader(catalog).advance(frontier)) void _
  }
})
