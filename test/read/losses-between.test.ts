import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { acceptLoss } from '../../src/log/losses.ts'
import { segmentPath } from '../../src/log/path.ts'
import type { Reign } from '../../src/log/reign.ts'
import { hash64 } from '../../src/log/stream.ts'
import { isLossAccepted, type Written } from '../../src/read/losses-between.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'

/** Three owners, of whom each has had bytes 0 to 1000 of a journal of its own. */
const REIGNS: readonly Reign[] = [1, 2, 3].map((epoch) => ({
  epoch,
  journal: epoch,
  from: { segment: 1, offset: 0 },
  until: epoch === 3 ? undefined : { segment: 1, offset: 1000 },
}))

function at(epoch: number, offset: number): Written {
  return { epoch, address: { journal: epoch, segment: 1, offset } }
}

test.each([
  ['in the same reign', at(2, 100), at(2, 900), true],
  ['before both', at(2, 600), at(2, 900), false],
  ['behind both', at(2, 100), at(2, 300), false],
  ['in a reign between', at(1, 100), at(3, 900), true],
  ['in an earlier reign', at(3, 100), at(3, 900), false],
  ['in a later reign', at(1, 100), at(1, 900), false],
])('what is accepted as lost %s', async (_, from, to, isBetween) => {
  const [storage, clock] = [new SimulatedStorage(new SimulatedDisk()), new SimulatedClock()]
  for (const { journal } of REIGNS) await storage.createLog(segmentPath(journal, 1))
  await acceptLoss(storage, { journal: 2, segment: 1 }, { from: 400, to: 500 })
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  expect(await isLossAccepted(catalog, REIGNS, { from, to })).toBe(isBetween)
})

test('what is accepted as lost up to a seal and behind it excuses nothing behind an event that was read there', async () => {
  const [storage, clock] = [new SimulatedStorage(new SimulatedDisk()), new SimulatedClock()]
  for (const { journal } of REIGNS) await storage.createLog(segmentPath(journal, 1))
  await acceptLoss(storage, { journal: 1, segment: 1 }, { from: 900, to: 1200 })
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const to = at(2, 900)
  expect(await isLossAccepted(catalog, REIGNS, { from: at(1, 1100), to })).toBe(false)
  expect(await isLossAccepted(catalog, REIGNS, { from: at(1, 800), to })).toBe(true)
})
