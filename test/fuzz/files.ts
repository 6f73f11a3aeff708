/** The small files: indexes and claims with parts that are wrong, `cluster.json`, the lock. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { createClaim, readClaim } from '../../src/log/claim.ts'
import { decode, encode } from '../../src/log/codec.ts'
import { isCount } from '../../src/log/count.ts'
import { FilePool } from '../../src/log/file-pool.ts'
import { IndexFile } from '../../src/log/index-file.ts'
import { claimPath, CLUSTER_PATH, indexPath, LOCK_PATH, numbersOf } from '../../src/log/path.ts'
import { hash64, StreamPlacement } from '../../src/log/stream.ts'
import { defineCluster } from '../../src/node/config.ts'
import { identify } from '../../src/node/data-directory.ts'
import { lockDirectory } from '../../src/node/directory-lock.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk, SimulatedFile } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { CLUSTER, diskOf, logImage, STREAMS } from './log-directory.ts'
import { mutate, mutations, type Mutation } from './mutation.ts'
import { withWrong, wrong } from './plain-data.ts'
import { resealClaim, resealIndex } from './reseal.ts'
import { orDocumented, target, type Target } from './target.ts'

interface Harm {
  readonly part: unknown
  readonly place: number
  readonly changes: readonly Mutation[]
  readonly isResealed: boolean
}

const harms = fc.record<Harm>({
  part: wrong,
  place: fc.nat({ max: 1000 }),
  changes: fc.oneof({ arbitrary: fc.constant([]), weight: 2 }, mutations),
  isResealed: fc.boolean(),
})

const INDEX_PATH = indexPath(1, 1)

/** An index is opened, or made again from its segment; a look-up finds a place within the segment, or nothing. */
export const index: Target = target('index', harms, async (harm) => {
  const image = await logImage()
  const bytes = harmedIndex(Buffer.from(image.get(INDEX_PATH)!), harm)
  const storage = new SimulatedStorage(diskOf(new Map([...image, [INDEX_PATH, bytes]])), ({ number, path }) => {
    if (number > 1000) throw new Error(`no end: step ${number} is at ${path}`)
    return 'none'
  })
  const opened = await IndexFile.open(new FilePool(storage), 1, 1)
  const options = { storage, clock: new SimulatedClock(), cluster: hash64(CLUSTER, 0), shards: 2 }
  const catalog = new Catalog(options)
  const found = await catalog.index(1, 1, 0)
  for (const stream of STREAMS.map((name) => new StreamPlacement(CLUSTER, 2).stream(name))) {
    for (const shard of [0, 1, 7]) {
      await opened?.find(shard, stream.hash)
      const offset = await catalog.find(found, { ...stream, shard })
      if (offset !== undefined) expect(offset).toBeLessThan(2 ** 32)
    }
  }
  for (const type of found.eventTypes) expect(typeof type).toBe('string')
  for (const { opened: places, seqLast, positionLast } of found.extents.values()) {
    expect([seqLast, positionLast, ...places.flat()].every(isCount)).toBe(true)
    expect(places.every((place) => place.length === 2 && place[1] < found.end)).toBe(true)
  }
})

function harmedIndex(bytes: Buffer, { part, place, changes, isResealed }: Harm): Uint8Array {
  const length = bytes.readUInt32LE(8)
  const head = encode(withWrong(decode(bytes, 16, 16 + length), place, part))
  const prefix = Buffer.from(bytes.subarray(0, 16))
  prefix.writeUInt32LE(head.length, 8)
  const harmed = mutate(Buffer.concat([prefix, head, bytes.subarray(16 + length)]), changes)
  if (isResealed) resealIndex(harmed)
  return harmed
}

/** A claim is what its owner wrote, or damaged. */
export const claim: Target = target('claim', harms, async ({ part, place, changes, isResealed }) => {
  const disk = new SimulatedDisk()
  const storage = new SimulatedStorage(disk)
  const { epoch } = await createClaim(storage, { shard: 3, journal: 12, node: 'node/1' })
  const path = claimPath(3, epoch)
  const [json = ''] = Buffer.from(disk.files.get(path)!.live).toString().split('\n')
  const text = mutate(Buffer.from(JSON.stringify(withWrong(JSON.parse(json), place, part), noBigint) ?? ''), changes)
  put(disk, path, isResealed ? resealClaim(text.toString()) : text)
  const read = await orDocumented(() => readClaim(storage, 3, epoch), hasCode('LogCorrupt'))
  if (read === undefined) return
  expect(read).toMatchObject({ shard: 3, epoch })
  expect(Number.isSafeInteger(read.journal) && typeof read.node === 'string').toBe(true)
})

const config = defineCluster({ name: 'fuzz', aggregates: [], dataDir: 'none' })
const documents = fc.oneof(
  fc.record({ part: wrong, place: fc.nat({ max: 20 }), changes: mutations }).map(({ part, place, changes }) => {
    const valid = { format: 1, clusterId: 'abc', name: 'fuzz', shards: 64, pid: 2 ** 30, host: 'here', startedAt: '1' }
    return mutate(Buffer.from(JSON.stringify(withWrong(valid, place, part), noBigint) ?? ''), changes)
  }),
  fc.constantFrom('null', '[]', '"text"', '1', '', '{}', '['.repeat(100_000)).map((text) => Buffer.from(text)),
)

/** The directory's identity is one, or DataFormat says what is wrong. */
export const clusterFile: Target = target('cluster-file', documents, async (content) => {
  const disk = new SimulatedDisk()
  put(disk, CLUSTER_PATH, content)
  const identity = await orDocumented(() => identify(new SimulatedStorage(disk), config), hasCode('DataFormat'))
  if (identity !== undefined) expect(identity).toMatchObject({ format: 1, name: 'fuzz', shards: 64 })
})

/** A lock that holds nonsense is nobody's. One that names a process of another host is watched, and then taken over. */
export const lockFile: Target = target('lock-file', documents, async (content) => {
  const dataDir = fs.mkdtempSync(join(tmpdir(), 'penhold-fuzz-'))
  try {
    fs.writeFileSync(join(dataDir, LOCK_PATH), content)
    const clock = new SimulatedClock()
    const passing = setInterval(() => clock.advance(500))
    const taking = lockDirectory({ dataDir, clock, onWarning: () => undefined })
    const release = await orDocumented(() => taking, hasCode('DataDirectoryInUse')).finally(() =>
      clearInterval(passing),
    )
    await release?.()
  } finally {
    fs.rmSync(dataDir, { recursive: true, force: true })
  }
})

/** Names of files are numbers that the log gave out, or are passed over. */
export const names: Target = target(
  'names',
  fc.array(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,30}(\.claim|\.log)?$/)), { maxLength: 5 }),
  (given) => {
    for (const number of numbersOf(given, '.claim')) expect(number + 1).toBeLessThan(2 ** 32)
  },
)

function put(disk: SimulatedDisk, path: string, content: Uint8Array | string): void {
  const file = new SimulatedFile(true)
  file.write(0, Buffer.from(content))
  disk.files.set(path, file)
}

function noBigint(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof PenholdError && error.code === code
}
