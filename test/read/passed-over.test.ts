import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, type Frontier } from '../../src/read/all.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { addEvent, openLog } from '../log/noted.ts'

const isWanted = (type: string): boolean => type === 'a/Rare@1'

function start(disk: SimulatedDisk) {
  const reads: string[] = []
  const storage = new SimulatedStorage(disk, ({ name, path }) => {
    if (name === 'read' && path.endsWith('.log')) reads.push(path)
    return 'none'
  })
  const clock = new SimulatedClock()
  const catalog = new Catalog({ storage, clock, cluster: hash64('test', 0), shards: 2 })
  return { reads, catalog, reader: new AllReader(catalog, { isWanted }) }
}

function frontierOf(...owners: readonly (readonly [log: Log, shards: readonly number[]])[]): Frontier {
  const reigns = owners.flatMap(([log, shards]) => shards.map((shard) => [shard, log.reigns(shard)] as const))
  const ends = owners.map(([{ head }]) => [head.journal, head.end] as const)
  const position = Math.min(...owners.map(([{ head }]) => head.position))
  return { reigns: new Map(reigns), ends: new Map(ends), position }
}

async function write(log: Log, shard: number, type: string): Promise<void> {
  addEvent(log, shard, log.positions.next(), { type })
  await log.append(log.cut())
}

async function roll(log: Log): Promise<void> {
  log.rollOver()
  await log.append(log.cut())
  await log.indexed()
}

async function typesIn(reader: AllReader, frontier: Frontier): Promise<string[]> {
  const types: string[] = []
  for await (const events of reader.advance(frontier)) types.push(...events.map(({ type }) => type))
  return types
}

test('segments without a wanted type are not read', async () => {
  const disk = new SimulatedDisk()
  const log = await openLog(disk, [0, 1])
  for (let segment = 1; segment <= 20; segment += 1) {
    await write(log, segment % 2, segment === 7 ? 'Rare' : 'Noted')
    await write(log, (segment + 1) % 2, 'Noted')
    await roll(log)
  }
  await write(log, 0, 'Rare')
  const { reads, reader } = start(disk)
  expect(await typesIn(reader, frontierOf([log, [0, 1]]))).toEqual(['Rare', 'Noted', 'Rare'])
  // The first one is looked at for where its owner began.
  expect(new Set(reads.map((path) => Number(/(\d+)\.log$/.exec(path)![1])))).toEqual(new Set([1, 7, 21]))
})

test('nor is the last segment of an owner that closed', async () => {
  const disk = new SimulatedDisk()
  const before = await openLog(disk, [0])
  await roll(before)
  for (let event = 1; event <= 3; event += 1) await write(before, 0, 'Noted')
  await roll(before)
  await write(before, 0, 'Noted')
  await before.close()
  const heir = await openLog(disk, [1])
  for (const inheritance of await heir.inherit([0])) {
    heir.open(inheritance)
    await heir.append(heir.cut())
    await heir.serve(inheritance)
  }
  await write(heir, 0, 'Rare')
  const { reads, reader } = start(disk)
  expect(await typesIn(reader, frontierOf([heir, [0, 1]]))).toEqual(['Rare'])
  expect(reads).not.toContain('journals/00000001/000002.log')
  expect(reads).not.toContain('journals/00000001/000003.log')
})

test.each([
  ['everything', undefined],
  ['rare events', isWanted],
])('of %s nothing is lost that lies above a frontier that knows an older owner', async (_, wanted) => {
  const disk = new SimulatedDisk()
  const before = await openLog(disk, [0])
  const heir = await openLog(disk, [1])
  await write(before, 0, 'Rare')
  await write(before, 0, 'Noted')
  const mark = before.positions.next()
  for (const log of [before, heir]) {
    log.mark(mark)
    await log.append(log.cut())
  }
  const stale = frontierOf([before, [0]], [heir, [1]])
  for (const inheritance of await heir.inherit([0])) {
    heir.open(inheritance)
    await heir.append(heir.cut())
    await heir.serve(inheritance)
  }
  await write(heir, 0, 'Noted')
  await write(heir, 1, 'Noted')
  await roll(heir)
  await write(heir, 0, 'Rare')
  // The heir has told how far its journal is, and not that it owns the shard, which it has lost again, say.
  const ends = new Map([...stale.ends, [heir.head.journal, heir.head.end]])
  const { catalog } = start(disk)
  const reader = new AllReader(catalog, { isWanted: wanted })
  expect(await typesIn(reader, { ...stale, ends })).toEqual(['Rare', 'Noted'])
  expect(await typesIn(reader, frontierOf([heir, [0, 1]]))).toEqual(
    wanted === undefined ? ['Noted', 'Noted', 'Rare'] : expect.arrayContaining(['Rare']),
  )
})
