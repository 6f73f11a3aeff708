import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { acceptLoss } from '../../src/log/losses.ts'
import { indexPath, segmentPath } from '../../src/log/path.ts'
import { hash64 } from '../../src/log/stream.ts'
import { toStoredEvent } from '../../src/node/stored-event.ts'
import { allPages } from '../../src/read/all-feed.ts'
import { BEGINNING, type AcceptedLoss, type AllPlace } from '../../src/read/all.ts'
import { Frontiers } from '../../src/read/frontiers.ts'
import { LogFeeds } from '../../src/read/log-feeds.ts'
import { memoryStore } from '../../src/read/memory-read-model.ts'
import { KnownTails } from '../../src/read/known-tails.ts'
import { defineProjection } from '../../src/read/projection.ts'
import { RunningProjection } from '../../src/read/running-projection.ts'
import { ShardFeeds } from '../../src/read/shard-feeds.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import type { Harness } from '../actor/harness.ts'
import { A, B, pieces, smash, write, X } from '../log/damaged-log.ts'
import { emptyDisk, openPurses, Purse } from '../log/small-log.ts'

/** What reads the log of a worker. */
function readers(disk: SimulatedDisk, { worker }: Harness) {
  const [storage, clock] = [new SimulatedStorage(disk), new SimulatedClock()]
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  const source = { nextTail: worker.tails.next.bind(worker.tails), tailAbove: worker.tails.above.bind(worker.tails) }
  const frontiers = new Frontiers({ catalog, clock, shards: 2, workers: () => [source], onWarning: () => undefined })
  const tails = new KnownTails({ catalog, clock, workers: () => [source] })
  return { catalog, clock, frontiers, tails }
}

interface Read {
  readonly events: string[]
  readonly places: AllPlace[]
  readonly losses: AcceptedLoss[]
}

async function readAll(disk: SimulatedDisk, harness: Harness, after = BEGINNING): Promise<Read> {
  const read: Read = { events: [], places: [], losses: [] }
  const onLoss = (loss: AcceptedLoss): void => void read.losses.push(loss)
  const options = { after, isLive: false, signal: new AbortController().signal, onLoss }
  for await (const { events } of allPages(readers(disk, harness), options)) {
    for (const { stream, version, position, shard } of events) {
      read.events.push(`${stream}@${version}`)
      read.places.push({ position, shard })
    }
  }
  return read
}

/** Smashes the only event of its batch, and resolves to where it stood. */
async function lose(
  disk: SimulatedDisk,
  stream: string,
  version: number,
): Promise<{ segment: number; offset: number }> {
  for (let segment = 1; ; segment += 1) {
    for (const piece of await pieces(disk, 1, segment)) {
      const found =
        piece.kind === 'batch' &&
        piece.batch.records.find((record) => record.stream === stream && record.version === version)
      if (!found) continue
      smash(disk, found.address.offset, `journals/00000001/00000${segment}.log`)
      return found.address
    }
  }
}

const ROUND = [[A], [B], [X]]

test('a reader of everything misses the first event of a shard', async () => {
  const disk = emptyDisk()
  const harness = await openPurses(disk)
  await write(harness, [...ROUND, ...ROUND])
  const whole = await readAll(disk, harness)
  const { offset } = await lose(disk, A, 1)
  await expect(readAll(disk, harness)).rejects.toMatchObject({ code: 'LogCorrupt' })

  await acceptLoss(new SimulatedStorage(disk), { journal: 1, segment: 1 }, { from: offset - 200, to: offset + 400 })
  const { events, losses } = await readAll(disk, harness)
  expect(events).toEqual(whole.events.filter((event) => event !== `${A}@1`))
  expect(losses).toEqual([{ shard: 0, firstSeq: 1, lastSeq: 1 }])
})

test.each([true, false])(
  'a reader misses the end of a segment where nothing of its shard follows (index: %s)',
  async (hasIndex) => {
    const disk = emptyDisk()
    const harness = await openPurses(disk)
    let [next, last] = [A, X]
    while (!disk.files.has(segmentPath(1, 2))) {
      await write(harness, [[next]])
      ;[next, last] = [last, next]
    }
    // What stands at the first one's end is the last of its shard.
    await write(harness, [[next], [next], [next]])
    const whole = await readAll(disk, harness)
    const lost = whole.events.findLastIndex((event) => event.startsWith(`${last}@`))
    expect(lost).toBe(whole.events.length - 4)
    await harness.log.indexed()
    const { files } = disk
    const { offset } = await lose(disk, last, Number(whole.events[lost]!.split('@')[1]))
    if (!hasIndex) files.delete(indexPath(1, 1))
    for (const after of [BEGINNING, ...whole.places.slice(0, lost)]) {
      await expect(readAll(disk, harness, after)).rejects.toMatchObject({ code: 'LogCorrupt' })
    }
    await acceptLoss(new SimulatedStorage(disk), { journal: 1, segment: 1 }, { from: offset - 200 })
    expect((await readAll(disk, harness)).events).toEqual(whole.events.toSpliced(lost, 1))
  },
)

test('a reader behind any place before it misses an event, and one behind a later place does not', async () => {
  const disk = emptyDisk()
  const harness = await openPurses(disk)
  for (let round = 0; round < 8; round += 1) await write(harness, ROUND)
  const whole = await readAll(disk, harness)
  const lost = whole.events.indexOf(`${B}@5`)
  const { segment } = await lose(disk, B, 5)
  expect(segment).toBeGreaterThan(1)
  for (const [i, place] of whole.places.entries()) {
    const reading = readAll(disk, harness, place)
    // Behind the event itself it cannot be known whether it was read.
    if (i <= lost + 1) await expect(reading, `behind event ${i}`).rejects.toMatchObject({ code: 'LogCorrupt' })
    else expect((await reading).events, `behind event ${i}`).toEqual(whole.events.slice(i + 1))
  }
})

for (const order of ['all', 'shard'] as const) {
  test(`a projection by ${order} stands still before a missing event, also where it begins there`, async () => {
    const disk = emptyDisk()
    const harness = await openPurses(disk)
    const { catalog, clock, frontiers, tails } = readers(disk, harness)
    const common = {
      catalog,
      clock,
      frontiers,
      decode: (record: Parameters<typeof toStoredEvent>[0]) => toStoredEvent(record, Purse),
      load: () => {
        throw new Error('nothing is parked here')
      },
      onLoss: () => undefined,
    }
    const feeds = order === 'all' ? new LogFeeds(common) : new ShardFeeds({ ...common, shards: 2, tails })
    const seen: string[] = []
    const projection = defineProjection({
      name: 'seen',
      from: [Purse],
      order,
      store: memoryStore(() => ({})),
      on: { Deposited: ({ stream, version }) => void seen.push(`${stream}@${version}`) },
    })
    const open = async (): Promise<RunningProjection<object>> => {
      const running = await RunningProjection.open({ projection, feeds, clock, onWarning: () => undefined })
      await running.run(feeds.lanes)
      return running
    }
    const pass = async (): Promise<void> => {
      for (let i = 0; i < 60; i += 1) {
        for (let turn = 0; turn < 20; turn += 1) await setImmediate()
        clock.advance(50)
      }
    }
    await write(harness, ROUND)
    let running = await open()
    await pass()
    expect(seen.toSorted()).toEqual([`${A}@1`, `${B}@1`, `${X}@1`].toSorted())
    await running.close()
    await write(harness, ROUND)
    await lose(disk, A, 2)
    for (let start = 0; start < 2; start += 1) {
      running = await open()
      await pass()
      const { lanes } = await running.status()
      expect(lanes.find(({ lane }) => lane === 'all' || lane === '0')).toMatchObject({ state: 'waiting' })
      await running.close()
    }
    expect(seen).not.toContain(`${B}@2`)
  })
}

test('a reader of everything stops before what is missing, whatever follows it, so that it has it once it is mended', async () => {
  for (const streams of [[X], [X, X], [X, A], []]) {
    for (const size of [1, 3]) {
      const disk = emptyDisk()
      const harness = await openPurses(disk)
      await write(harness, ROUND)
      // In one batch with others, of which some are whole.
      await write(harness, [size === 1 ? [A] : [X, A, B]])
      await write(
        harness,
        streams.map((stream) => [stream]),
      )
      const whole = await readAll(disk, harness)
      // A batch without an event.
      if (streams.length === 0) await harness.worker.tails.above(whole.places.at(-1)!.position + 1)
      const file = disk.files.get('journals/00000001/000001.log')!
      const bytes = file.live.slice()
      const batch = (await pieces(disk, 1, 1)).find(
        (piece) => piece.kind === 'batch' && piece.batch.records.some((one) => one.stream === A && one.version === 2),
      )
      if (batch?.kind !== 'batch') throw new Error('it is in the first segment')
      smash(disk, batch.batch.records.find(({ stream }) => stream === A)!.address.offset)
      // Whoever has come further would go on behind what it has not read.
      const lost = whole.events.indexOf(`${A}@2`)
      await expect(readAll(disk, harness)).rejects.toMatchObject({ code: 'LogCorrupt' })
      for (const place of whole.places.slice(0, lost)) {
        await expect(readAll(disk, harness, place)).rejects.toMatchObject({ code: 'LogCorrupt' })
      }
      file.live.set(bytes)
      expect((await readAll(disk, harness, whole.places[lost - 1])).events).toEqual(whole.events.slice(lost))
    }
  }
})
