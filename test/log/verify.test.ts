import { describe, expect, test } from 'vitest'
import { encodeChecked } from '../../src/log/checked-json.ts'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { encode } from '../../src/log/codec.ts'
import { Log } from '../../src/log/log.ts'
import { claimPath, fencePath, journalPath, segmentPath } from '../../src/log/path.ts'
import { NOWHERE, RecordKind, type Address, type RecordParts } from '../../src/log/record.ts'
import { encodeOpening } from '../../src/log/reign.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { verify } from '../../src/log/verify/verify.ts'
import type { Finding } from '../../src/log/verify/finding.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Fault } from '../../src/testing/simulated-storage.ts'
import { deposit, open, type Harness } from '../actor/harness.ts'
import { A, pieces, written, X } from './damaged-log.ts'
import { copyOfDisk, emptyDisk, openPurses, putFile, writeSmallLog } from './small-log.ts'

async function findings(disk: SimulatedDisk): Promise<readonly Finding[]> {
  const { kept } = (await verify({ storage: new SimulatedStorage(disk), clock: new SimulatedClock() })).findings
  return kept
}

/** Two events of one stream, the second one as no writer would write it. */
async function wronglyWritten(
  wrong: (first: Address, position: number) => Partial<RecordParts>,
): Promise<SimulatedDisk> {
  const disk = emptyDisk()
  const storage = new SimulatedStorage(disk)
  const options = { clusterId: 'test', shards: 2, own: [0, 1], segmentBytes: 65_536, node: 'test' }
  const log = await Log.open({ storage, clock: new SimulatedClock(), ...options })
  const position = log.positions.next()
  const parts: RecordParts = {
    kind: RecordKind.event,
    epoch: 0,
    seq: 0,
    version: 1,
    payloadHash: 0,
    position,
    previous: NOWHERE,
    time: 0,
    eventId: new Uint8Array(16),
    commandId: sliceOf(new Uint8Array(16)),
    typeVersion: 1,
    type: Buffer.from('Noted'),
    data: sliceOf(encode({})),
    metadata: new Uint8Array(),
  }
  const first = log.add(log.placement.stream(A), { ...parts })
  const second = { ...parts, version: 2, position: position + 1, previous: first }
  log.add(log.placement.stream(A), { ...second, ...wrong(first, position) })
  await log.append(log.cut())
  await log.close()
  return disk
}

test.each<[string, (first: Address, position: number) => Partial<RecordParts>, RegExp]>([
  ['a version that jumps', () => ({ version: 3 }), /from version 1 to 3/],
  ['a version that comes twice', () => ({ version: 1 }), /from version 1 to 1/],
  ['a position that does not increase', (_, position) => ({ position }), /position \d+ comes after/],
  ['a chain that leads nowhere', () => ({ previous: NOWHERE }), /its chain leads to nowhere/],
  [
    'a chain that leads elsewhere',
    (first) => ({ previous: { ...first, offset: 8 } }),
    /its chain leads to .* at byte 8/,
  ],
  ['data that cannot be decoded', () => ({ data: sliceOf(Buffer.from([0x92, 1])) }), /cannot be decoded/],
  ['an opening that says nothing', () => ({ kind: RecordKind.opened, data: sliceOf(encode({})) }), /is no opening/],
  [
    'an opening of another epoch',
    () => ({ kind: RecordKind.opened, data: sliceOf(encodeOpening({ shard: 0, epoch: 7, reigns: [], carried: 0 })) }),
    /is no opening/,
  ],
  ['a kind that does not exist', () => ({ kind: 9 as never }), /is not what was written/],
])('%s is found', async (_, wrong, problem) => {
  expect(await findings(await wronglyWritten(() => ({})))).toEqual([])
  const found = await findings(await wronglyWritten(wrong))
  expect(found[0]).toMatchObject({
    severity: 'damage',
    file: segmentPath(1, 1),
    problem: expect.stringMatching(problem) as string,
  })
})

/** Flips the first bit of its kind among the data of a batch's first record, or the last one's. */
async function flip(
  disk: SimulatedDisk,
  { batch, isMissing }: { readonly batch: number; readonly isMissing: boolean },
) {
  const path = segmentPath(1, 1)
  const file = disk.files.get(path)!
  const all = (await pieces(disk, 1, 1)).flatMap((piece) => (piece.kind === 'batch' ? [piece.batch] : []))
  const { offset, length } = all.at(batch)!
  // In what its header covers: the record is told apart by its own check.
  for (let at = offset + length - 16; ; at -= 1) {
    const bit = [0, 1, 2, 3, 4, 5, 6, 7].find((each) => ((file.live[at]! >> each) & 1) === (isMissing ? 1 : 0))
    if (bit === undefined) continue
    file.flip(at, bit)
    return await findings(disk)
  }
}

const MAY_BE_CRASH = /a crash in the middle of the write may have left it so/
const IS_DAMAGE = /it was written otherwise; whether it was acknowledged the log does not tell/

describe('a flipped bit in the last batch of a journal', () => {
  test.each([
    [true, 'notice', MAY_BE_CRASH],
    [false, 'damage', IS_DAMAGE],
  ] as const)('may be of a crash where it is zero (%s), and is carried over', async (isMissing, severity, cause) => {
    const disk = await written([A], [X])
    const [found, ...others] = await flip(disk, { batch: -1, isMissing })
    expect(others).toEqual([])
    expect(found).toMatchObject({ severity, meaning: expect.stringMatching(cause) as string })
    expect(found!.meaning).toMatch(/who takes its shards over carries it, with the bit set right$/)
    // So it is.
    const heir = await openPurses(disk)
    expect(await heir.query(X, 'balance')).toEqual({ kind: 'answered', value: 1 })
    await heir.worker.close()
    const after = await findings(disk)
    expect(after).toMatchObject([{ severity, meaning: expect.stringMatching(cause) as string }])
    expect(after[0]!.meaning).toMatch(
      /its shards were taken over since, and what they had of it stands in the journals/,
    )
  })

  test('is damage where more stands behind it, be it the beginning of a write', async () => {
    for (const isMissing of [true, false]) {
      const before = await flip(await written([A], [X]), { batch: -2, isMissing })
      expect(before).toMatchObject([{ severity: 'damage', meaning: expect.not.stringMatching(/last batch/) as string }])
      const disk = await written([A], [X])
      const last = (await pieces(disk, 1, 1)).at(-1)
      const end = last?.kind === 'end' ? last.from : 0
      disk.files.get(segmentPath(1, 1))!.live.fill(0xaa, end, end + 40)
      const torn = await flip(disk, { batch: -1, isMissing })
      expect(torn).toMatchObject([
        { severity: 'damage', meaning: expect.not.stringMatching(/last batch/) as string },
        { severity: 'notice', problem: 'bytes that are no batch follow the last one' },
      ])
    }
  })

  test('takes nothing along where it is that of an opening, or of the record that ends the journal', async () => {
    const begun = emptyDisk()
    await open(begun, new SimulatedClock(), { own: [0] })
    const opened = await flip(begun, { batch: -1, isMissing: true })
    expect(opened[0]!.meaning).toMatch(/^it is the opening of shard .* who takes its shards over carries it/)
    const disk = emptyDisk()
    const harness = await openPurses(disk)
    await harness.ask(deposit(A, 1))
    await harness.worker.close()
    const [closed] = await flip(disk, { batch: -1, isMissing: true })
    expect(closed).toMatchObject({
      severity: 'notice',
      meaning: expect.stringMatching(/^it is the record that ends the journal.*it has no events$/) as string,
    })
  })
})

test('a journal that was put back from an older copy is found, though each of its batches is whole', async () => {
  const disk = await written([A], [X])
  const second = await openPurses(disk)
  for (let i = 0; i < 3; i += 1) await second.ask(deposit(A, 1))
  await second.worker.close()
  await (await openPurses(disk)).worker.close()
  const path = segmentPath(2, 1)
  const batch = (await pieces(disk, 2, 1))[2]
  const end = batch?.kind === 'batch' ? batch.batch.offset : 0
  putFile(disk, path, disk.files.get(path)!.live.slice(0, end))
  const found = await findings(disk)
  expect(found.some(({ severity, problem }) => severity === 'damage' && /goes on with seq/.test(problem))).toBe(true)
})

test('claims and journals that are gone, and fences out of order, are found', async () => {
  const { disk } = await writeSmallLog(1)
  const without = async (harm: (copy: SimulatedDisk) => void): Promise<readonly Finding[]> => {
    const copy = copyOfDisk(disk)
    harm(copy)
    return findings(copy)
  }
  expect(await without((copy) => copy.files.delete(claimPath(0, 3)))).toMatchObject([
    { severity: 'damage', file: claimPath(0, 3), problem: 'the claim is missing' },
  ])
  const lost = await without((copy) => {
    for (const path of copy.files.keys()) if (path.startsWith(journalPath(1))) copy.files.delete(path)
    copy.folders.delete(journalPath(1))
  })
  expect(lost[0]).toMatchObject({ severity: 'damage', file: journalPath(1), problem: 'the journal is missing' })
  const none = await without((copy) => {
    for (const path of copy.files.keys()) if (path.startsWith('journals/')) copy.files.delete(path)
    for (const path of copy.folders) if (path.startsWith('journals/')) copy.folders.delete(path)
  })
  expect(none.length).toBeGreaterThan(0)
  for (const { file, problem, remedy } of none) {
    expect([file, problem, remedy]).toEqual([
      expect.stringMatching(/^journals\/\d+$/),
      'the journal is missing',
      `Restore ${file} from a backup`,
    ])
  }
  expect(await without((copy) => putFile(copy, fencePath(1, 3), new Uint8Array()))).toMatchObject([
    { severity: 'notice', problem: 'fence 2 is missing' },
  ])
  expect(await without((copy) => putFile(copy, `${journalPath(1)}/notes.txt`, new Uint8Array()))).toMatchObject([
    { severity: 'notice', problem: 'this file is not of the log' },
  ])
  expect(await without((copy) => copy.files.delete('cluster.json'))).toMatchObject([
    { severity: 'damage', file: 'cluster.json', problem: 'the file is missing' },
  ])
})

test('a shard that went from a journal to one with a smaller number is followed in the order of its owners', async () => {
  const disk = emptyDisk()
  let goOn = (): void => undefined
  const isOwned = new Promise<'none'>((resolve) => (goOn = () => resolve('none')))
  // The first has its journal, and claims only when the second has written.
  const opening = openPurses(disk, new SimulatedClock(), ({ path }) => (path.endsWith('.claim') ? isOwned : 'none'))
  while (!disk.files.has(segmentPath(1, 1))) await Promise.resolve()
  const second = await openPurses(disk)
  await second.ask(deposit(A, 1))
  await second.ask(deposit(A, 1))
  goOn()
  const first = await opening
  expect([first.log.journal, second.log.journal]).toEqual([1, 2])
  expect(await first.ask(deposit(A, 1))).toMatchObject({ version: 3 })
  await first.worker.close()
  expect(await findings(disk)).toEqual([])
})

test('a segment that was exchanged for another is found, though it looks like an unfinished write to a node', async () => {
  const { disk } = await writeSmallLog(3)
  const last = segmentPath(3, 2)
  putFile(disk, last, disk.files.get(segmentPath(2, 1))!.live)
  expect(await findings(disk)).toContainEqual(
    expect.objectContaining({
      severity: 'damage',
      file: last,
      problem: `a whole batch of ${segmentPath(2, 1)}, byte 0 stands here`,
    }),
  )
})

test('the cluster.json of another cluster is found', async () => {
  const disk = await written([A], [X])
  putFile(disk, 'cluster.json', encodeIdentity({ format: 1, clusterId: 'other', name: 'purses', shards: 2 }))
  expect(await findings(disk)).toContainEqual(
    expect.objectContaining({
      severity: 'damage',
      problem: 'a whole batch of another cluster stands here',
      remedy: expect.stringContaining('Restore cluster.json') as string,
    }),
  )
})

test('a journal that was begun after the walk had listed them is not missing', async () => {
  const disk = await written([A], [X])
  let next: Promise<Harness> | undefined
  const { kept } = (
    await verify({
      storage: new SimulatedStorage(disk, async ({ name, path }): Promise<Fault> => {
        if (name === 'list' && path === 'shards') await (next ??= openPurses(disk))
        return 'none'
      }),
      clock: new SimulatedClock(),
    })
  ).findings
  expect(next).toBeDefined()
  expect(kept.filter(({ severity }) => severity === 'damage')).toEqual([])
})

test('claims from before the newest opening are missed by nobody, as a power loss brings any of them back', async () => {
  const { disk } = await writeSmallLog(1)
  const old = disk.files.get(claimPath(0, 2))!.live
  disk.files.delete(claimPath(0, 2))
  putFile(disk, claimPath(0, 1), encodeChecked({ shard: 0, journal: 1, node: 'test', epoch: 1 }))
  expect(await findings(disk)).toEqual([])
  putFile(disk, claimPath(0, 2), old.slice(1))
  expect(await findings(disk)).toMatchObject([{ severity: 'damage', file: claimPath(0, 2) }])
})

test('a walk that is aborted ends with the reason', async () => {
  const { disk } = await writeSmallLog(1)
  const stop = new AbortController()
  const walking = verify({
    storage: new SimulatedStorage(disk),
    clock: new SimulatedClock(),
    signal: stop.signal,
    onProgress: (done, total) => {
      expect(done).toBeLessThanOrEqual(total)
      stop.abort(new Error('enough'))
    },
  })
  await expect(walking).rejects.toThrow('enough')
})
