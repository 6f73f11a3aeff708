import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { hash64 } from '../../src/log/stream.ts'
import { Bell } from '../../src/read/bell.ts'
import type { KnownTails } from '../../src/read/known-tails.ts'
import { SharedJournals } from '../../src/read/shared-journals.ts'
import type { Part } from '../../src/read/strand.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { openLog } from '../log/noted.ts'
import { upTo, writeEvents } from './followed-rows.ts'

/** A reading takes so many turns to end, once its last reader has left, and some more to begin anew. */
const TURNS = 40

test('whoever comes while a reading ends that everybody has left gets each event once', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  await writeEvents(log, 0, 5)
  const { end } = log.head
  const tails = { end: () => end, listen: () => () => undefined } as unknown as KnownTails
  for (let turns = 0; turns < TURNS; turns += 1) {
    const clock = new SimulatedClock()
    const catalog = new Catalog({ storage: new SimulatedStorage(disk), clock, cluster: hash64('test', 0), shards: 2 })
    const journals = new SharedJournals({ catalog, clock, tails, keptBytes: 100_000 })
    const part = (): Part => {
      return { shard: 0, from: { segment: 1, offset: 0 }, after: 0, until: undefined, bell: new Bell() }
    }
    const first = journals.join(log.journal, part())
    await first.part.bell.rung()
    first.leave()
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    const second = journals.join(log.journal, part())
    second.awaits = end
    const seqs: number[] = []
    while (!second.hasCome(end)) {
      const rung = second.part.bell.rung()
      const { events } = second.take(100_000)
      if (events.length === 0) await rung
      seqs.push(...events.map(({ seq }) => seq))
    }
    expect(seqs, `after ${turns} turns`).toEqual(upTo(5))
    second.leave()
  }
})
