import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, encode } from '../../src/log/codec.ts'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { NewLog } from '../../src/log/new-log.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { fromJson, toJson } from '../../src/read/event-json.ts'
import { exportLines, type ExportOptions } from '../../src/read/export.ts'
import { importLines } from '../../src/read/import.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { putFile, writeSmallLog } from '../log/small-log.ts'
import { WritersWorld } from './writers-world.ts'

const clock = new SimulatedClock()
const PURSES = { format: 1, clusterId: 'test', name: 'purses', shards: 2 }

async function exported(disk: SimulatedDisk, range: Partial<ExportOptions> = {}): Promise<string[]> {
  const options = { storage: new SimulatedStorage(disk), clock, pause: () => Promise.resolve(), ...range }
  let all = ''
  for await (const { text } of exportLines(options)) all += text
  return all.split('\n').slice(0, -1)
}

async function imported(lines: readonly string[], identity = PURSES): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk()
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for (const line of lines) yield Promise.resolve(Buffer.from(line))
  }
  const to = new SimulatedStorage(disk)
  await importLines({ lines: source, name: 'x.ndjson', to, clock, identity, segmentBytes: 2048, id: 'x' }).catch(
    (error: unknown) => {
      expect(disk.files.size, 'nothing is written').toBe(0)
      throw error
    },
  )
  return disk
}

describe('plain data as JSON', () => {
  const special = fc.oneof(
    fc.double(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.uint8Array(),
    fc.string(),
  )
  const key = fc.oneof(fc.constantFrom('$bytes', '$bigint', '$number', '$object', 'a'), fc.string({ unit: 'grapheme' }))
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, special, fc.constantFrom(null, true), fc.array(tie('tree')), tie('object')),
    object: fc.dictionary(
      key.filter((one) => one !== '__proto__'),
      tie('tree'),
      { maxKeys: 3, noNullPrototype: true },
    ),
  }))

  test('comes back as it was', () => {
    fc.assert(
      fc.property(tree, (value) => {
        const json = JSON.stringify(toJson(value))
        expect(decode(encode(fromJson(JSON.parse(json))))).toEqual(decode(encode(value)))
      }),
    )
  })

  test.each([
    '{"$bytes":"?"}',
    '{"$bytes":1}',
    '{"$bigint":"1.5"}',
    '{"$bigint":"999999999999999999999"}',
    '{"$number":"1"}',
    '{"$object":[]}',
  ])('%s is refused', (text) => {
    expect(() => fromJson(JSON.parse(text))).toThrow()
  })
})

describe('an export', () => {
  test('that is imported gives the same export, and a log without damage', async () => {
    const { disk, truth } = await writeSmallLog()
    const lines = await exported(disk)
    expect(lines).toHaveLength([...truth.values()].flat().length)
    const copy = await imported(lines)
    expect(await exported(copy)).toEqual(lines)
    expect((await verify({ storage: new SimulatedStorage(copy), clock })).findings.kept).toEqual([])
  })

  test('of writers whose positions are alike is the same once more, with the same shards', async () => {
    let alike = 0
    for (let seed = 1; seed <= 20; seed += 1) {
      const world = new WritersWorld(seed, false)
      for (const shard of [0, 1, 2, 0, 2, 1, 0]) {
        await world.take({ do: 'claim', shard, to: (shard + seed) % 3 })
        await world.take({ do: 'open', worker: (shard + seed) % 3 })
        await world.take({ do: 'write', shard, events: 2 })
      }
      const lines = await exported(world.disk)
      expect(lines).toHaveLength(14)
      const identity = { ...PURSES, name: 'x', shards: 3 }
      expect(await exported(await imported(lines, identity))).toEqual(lines)
      const positions = lines.map((line) => (JSON.parse(line) as { position: number }).position)
      alike += lines.length - new Set(positions).size
    }
    expect(alike).toBeGreaterThan(0)
  })

  test('has what was asked for', async () => {
    const { disk } = await writeSmallLog()
    const lines = await exported(disk)
    const positions = lines.map((line) => (JSON.parse(line) as { position: number }).position)
    expect(positions).toEqual(positions.toSorted((a, b) => a - b))
    expect(await exported(disk, { from: positions[3]!, until: positions[7]! })).toEqual(
      lines.filter((_, i) => positions[i]! >= positions[3]! && positions[i]! <= positions[7]!),
    )
    expect(await exported(disk, { types: ['Deposited'] })).toEqual(lines)
    expect(await exported(disk, { types: ['purse/Deposited'] })).toEqual(lines)
    expect(await exported(disk, { types: ['Withdrawn', 'account/Deposited'] })).toEqual([])
  })

  test('has all fields, and bytes and bigints in words of JSON', async () => {
    const disk = new SimulatedDisk()
    const log = await NewLog.begin({ storage: new SimulatedStorage(disk), clock, identity: PURSES, segmentBytes: 2048 })
    const id = Uint8Array.from(Buffer.from('01a1ff294c707128bfebc58825dc5132', 'hex'))
    await log.add(log.streamOf('purse/a'), {
      version: 1,
      payloadHash: 5,
      position: 17,
      time: Date.UTC(2026, 2, 1),
      eventId: id,
      commandId: sliceOf(id),
      typeVersion: 3,
      type: Buffer.from('Deposited'),
      data: sliceOf(encode({ raw: Uint8Array.of(1, 2, 255), big: 12n })),
      metadata: encode({ user: 'ada' }),
    })
    await log.finish({ id: 'x', position: 17, before: [], resumesAfter: 17 })
    putFile(disk, CLUSTER_PATH, encodeIdentity(PURSES))
    const uuid = '01a1ff29-4c70-7128-bfeb-c58825dc5132'
    expect((await exported(disk)).map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        position: 17,
        id: uuid,
        stream: 'purse/a',
        version: 1,
        time: '2026-03-01T00:00:00.000Z',
        type: 'Deposited',
        typeVersion: 3,
        data: { raw: { $bytes: 'AQL/' }, big: { $bigint: '12' } },
        metadata: { user: 'ada' },
        commandId: uuid,
        payloadHash: 5,
      },
    ])
  })
})

test.each([
  ['', /line 2: it is no JSON/],
  ['[]', /line 2: it is no JSON object/],
  [{ id: 'x' }, /line 2: its id is "x"/],
  [{ commandId: undefined }, /line 2: its commandId is missing/],
  [{ version: 3 }, /line 2: its version of purse\/\w is 3/],
  [{ position: 1 }, /line 2: its position 1 is below \d+/],
  [{ position: 1.5 }, /line 2: its position is 1.5/],
  [{ stream: 'purse' }, /line 2: its stream is "purse"/],
  [{ time: '2026-03-01' }, /line 2: its time is "2026-03-01"/],
  [{ type: '' }, /line 2: its type is ""/],
  [{ typeVersion: 0 }, /line 2: its typeVersion is 0/],
  [{ payloadHash: -1 }, /line 2: its payloadHash is -1/],
  [{ data: { $bytes: '?' } }, /line 2: its data is no plain data/],
  [{ data: '\ud800' }, /line 2: its data is no plain data/],
  [{ metadata: [] }, /line 2: its metadata is \[\]/],
  [{ more: 1 }, /line 2: there is no field 'more'/],
])('a line with %j is refused with its number', async (change, message) => {
  const lines = await exported((await writeSmallLog(1)).disk)
  const line = typeof change === 'string' ? change : JSON.stringify({ ...(JSON.parse(lines[1]!) as object), ...change })
  await expect(imported([lines[0]!, line, ...lines.slice(2)])).rejects.toMatchObject({
    code: 'BadImport',
    message: expect.stringMatching(message) as string,
  })
})

test('two events of one position in one shard are refused, with what to give', async () => {
  const lines = await exported((await writeSmallLog(1)).disk)
  const { position } = JSON.parse(lines[0]!) as { position: number }
  const line = JSON.stringify({ ...(JSON.parse(lines[1]!) as object), position })
  const alone = { ...PURSES, shards: 1 }
  await expect(imported([lines[0]!, line], alone)).rejects.toMatchObject({
    message: expect.stringContaining('the cluster id and the number of shards') as string,
  })
})
