/**
 * One flipped bit anywhere in a data directory is found, and never served as an event. A sample of the bytes of a small
 * log in `npm test`; every byte with `npm run test:bits`.
 */
import { expect, test } from 'vitest'
import { RecordKind } from '../../src/log/record.ts'
import { mendFile, remakeIndexes } from '../../src/log/repair.ts'
import { verify } from '../../src/log/verify/verify.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import type { Harness } from '../actor/harness.ts'
import { copyOfDisk, openPurses, STREAMS, writeSmallLog, type SmallLog, type Truth } from './small-log.ts'

/** Every how-manieth byte is tried; prime, so that no field is passed over for ever. */
const STEP = process.env['PENHOLD_ALL_BITS'] === undefined ? 29 : 1

const small = await writeSmallLog(2)
const clock = new SimulatedClock()

function check(disk: SimulatedDisk) {
  return verify({ storage: new SimulatedStorage(disk), clock })
}

/** Every byte of the file, with one bit of it flipped. */
function* flips({ disk }: SmallLog, path: string): Generator<{ disk: SimulatedDisk; where: string }> {
  const { length } = disk.files.get(path)!.live
  for (let at = length % STEP; at < length; at += STEP) {
    const copy = copyOfDisk(disk)
    const bit = (at * 5 + path.length) % 8
    copy.files.get(path)!.flip(at, bit)
    yield { disk: copy, where: `bit ${bit} of byte ${at} of ${path}` }
  }
}

/** Whatever is answered is the truth; what cannot be is refused as damaged. Resolves to how many were refused. */
async function expectTruth(harness: Harness, truth: Truth, where: string): Promise<number> {
  let refused = 0
  for (const stream of STREAMS) {
    const amounts = truth.get(stream)!
    const balance = amounts.reduce((sum, amount) => sum + amount)
    const reply = await harness.query(stream, 'balance')
    if (reply.kind === 'answered') expect(reply.value, where).toBe(balance)
    else expect(reply, where).toMatchObject({ kind: 'failed', failure: { code: 'LogCorrupt' } })
    if (reply.kind !== 'answered') refused += 1
    const told = await history(harness, stream)
    if (told !== undefined) expect(told, where).toEqual(amounts)
  }
  return refused
}

function expectSame(a: Uint8Array, b: Uint8Array, where: string): void {
  expect(Buffer.compare(a, b), where).toBe(0)
}

/** All deposits that a reader of the stream is given; undefined where it is refused. */
async function history({ log }: Harness, name: string): Promise<number[] | undefined> {
  const stream = log.placement.stream(name)
  if (!log.owns(stream.shard)) return undefined
  const amounts: number[] = []
  try {
    for await (const record of log.back(stream)) {
      if (record.kind === RecordKind.event) amounts.push((record.data as { amount: number }).amount)
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'LogCorrupt' })
    return undefined
  }
  return amounts.reverse()
}

test('the small log is whole, and has all that a log can have', async () => {
  const { findings, events } = await check(small.disk)
  expect(findings.kept).toEqual([])
  expect(events).toBe([...small.truth.values()].flat().length)
  const paths = [...small.disk.files.keys()]
  for (const ending of ['.log', '.idx', '.claim', '.fence', '.json']) {
    expect(paths.some((path) => path.endsWith(ending))).toBe(true)
  }
  expect(await expectTruth(await openPurses(copyOfDisk(small.disk)), small.truth, 'nowhere')).toBe(0)
})

test.each([...small.disk.files.keys()].filter((path) => small.disk.files.get(path)!.live.length > 0))(
  'each flipped bit of %s is found, mended, and never served',
  { timeout: 120_000 },
  async (path) => {
    for (const { disk, where } of flips(small, path)) {
      const { findings, survey, identity } = await check(disk)
      const told = findings.kept.filter(({ file }) => file === path)
      expect(told, where).not.toEqual([])
      const storage = new SimulatedStorage(disk)
      const options = { storage, clock, identity, survey }
      const damaged = Uint8Array.from(disk.files.get(path)!.live)
      if (path !== 'cluster.json') await expectTruth(await openPurses(copyOfDisk(disk)), small.truth, where)
      // Zeroes that were never written to are all the same to everyone.
      if (told.every(({ remedy }) => remedy === '')) continue
      if (path.endsWith('.idx')) {
        await remakeIndexes(options)
        expect((await check(disk)).findings.kept, where).toEqual([])
        continue
      }
      await mendFile(options, path)
      expectSame(disk.files.get(`repaired/${path}`)!.live, damaged, where)
      expectSame(disk.files.get(path)!.live, small.disk.files.get(path)!.live, where)
    }
  },
)
