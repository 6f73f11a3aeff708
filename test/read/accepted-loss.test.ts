import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { lossPath, segmentPath } from '../../src/log/path.ts'
import { acceptLoss } from '../../src/log/losses.ts'
import { hash64 } from '../../src/log/stream.ts'
import { allPages } from '../../src/read/all-feed.ts'
import type { AcceptedLoss } from '../../src/read/all.ts'
import { Frontiers } from '../../src/read/frontiers.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import type { Harness } from '../actor/harness.ts'
import { A, B, recordsOf, smash, write, X } from '../log/damaged-log.ts'
import { emptyDisk, openPurses } from '../log/small-log.ts'

async function readAll(disk: SimulatedDisk, { worker }: Harness, losses: AcceptedLoss[] = []): Promise<string[]> {
  const [storage, clock] = [new SimulatedStorage(disk), new SimulatedClock()]
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const source = {
    nextTail: worker.tails.next.bind(worker.tails),
    tailAbove: worker.tails.above.bind(worker.tails),
  }
  const frontiers = new Frontiers({ catalog, clock, shards: 2, workers: () => [source], onWarning: () => undefined })
  const events: string[] = []
  const options = { after: { position: 0, shard: 0 }, isLive: false, signal: new AbortController().signal }
  for await (const page of allPages({ catalog, frontiers }, { ...options, onLoss: (loss) => losses.push(loss) })) {
    events.push(...page.events.map(({ stream, version }) => `${stream}@${version}`))
  }
  return events
}

test('a reader stops where events are missing, and goes on, and says so, where that was accepted', async () => {
  const disk = emptyDisk()
  const harness = await openPurses(disk)
  await write(harness, [[A], [B], [X], [A], [B], [X], [A]])
  const whole = await readAll(disk, harness)
  expect(whole).toHaveLength(7)
  const [offset] = await recordsOf(disk, 4)
  smash(disk, offset!)
  await expect(readAll(disk, harness)).rejects.toMatchObject({ code: 'LogCorrupt' })

  const storage = new SimulatedStorage(disk)
  const place = { journal: 1, segment: 1 }
  // Of something else.
  await acceptLoss(storage, place, { from: 0, to: 8 })
  await expect(readAll(disk, harness)).rejects.toMatchObject({ code: 'LogCorrupt' })
  expect(disk.files.has(lossPath(1, 1))).toBe(true)
  await acceptLoss(storage, place, { from: offset! - 200, to: offset! + 400 })
  const losses: AcceptedLoss[] = []
  expect(await readAll(disk, harness, losses)).toEqual(whole.filter((event) => event !== `${A}@2`))
  expect(losses).toEqual([{ shard: 0, firstSeq: 3, lastSeq: 3 }])
  expect(disk.files.has(segmentPath(1, 1))).toBe(true)
})
