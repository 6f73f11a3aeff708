import fc from 'fast-check'
import { expect, test } from 'vitest'
import { APPEND } from '../../src/actor/append.ts'
import { decodePage, encodePageRequest, type Page, type PageRequest } from '../../src/actor/page.ts'
import { splitRecords } from '../../src/log/recorded-event.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { open, type Harness } from './harness.ts'
import { readPage, type PageBounds } from '../../src/actor/page-reader.ts'
import { StreamPlaces } from '../../src/actor/stream-places.ts'
import { ask, read, readWith } from './simulated-streams.ts'
import { inTime } from '../in-time.ts'

const LENGTH = 3_500
const STREAM = 'metrics/1'

const append = (harness: Harness, count: number, stream = STREAM) =>
  harness.ask({ stream, name: APPEND, payload: { events: Array.from({ length: count }, () => ({ type: 'Ticked' })) } })

async function page(harness: Harness, request: Partial<PageRequest>): Promise<Page> {
  const whole = { from: 1, to: undefined, at: undefined, isBackwards: false, limit: 1e9, filter: undefined }
  return decodePage(await ask(harness.worker, STREAM, encodePageRequest({ ...whole, ...request })))!
}

const versionsOf = ({ records }: Page): number[] => [...splitRecords(records)].map(({ version }) => version)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

async function long(disk: SimulatedDisk, clock: SimulatedClock): Promise<Harness> {
  const harness = await open(disk, clock, { segmentBytes: 64 * 1024 })
  for (let left = LENGTH; left > 0; left -= 500) await append(harness, 500)
  return harness
}

test('a mark leads to its page without a walk over what stands behind', async () => {
  const disk = new SimulatedDisk()
  let walked = 0
  const harness = await long(disk, new SimulatedClock())
  const walk = harness.log.walk.bind(harness.log)
  harness.log.walk = (stream, hint, take) =>
    walk(stream, hint, (record) => {
      walked += 1
      return take(record)
    })
  const first = await page(harness, {})
  expect(walked).toBeGreaterThanOrEqual(LENGTH)
  expect(versionsOf(first)).toEqual(range(1, first.next - 1))
  expect(first.marks.map(({ version }) => version)).toEqual([3_500, 2_500, 1_500])
  walked = 0
  const { version: to, address: at } = first.marks.at(-1)!
  expect(versionsOf(await page(harness, { from: first.next, to, at }))).toEqual(range(501, 1_500))
  expect(walked).toBeLessThan(1_100)
})

test('whoever reads the middle again does not walk there again', async () => {
  let walked = 0
  const harness = await long(new SimulatedDisk(), new SimulatedClock())
  const walk = harness.log.walk.bind(harness.log)
  harness.log.walk = (stream, hint, take) =>
    walk(stream, hint, (record) => {
      walked += 1
      return take(record)
    })
  const middle = { from: 1_000, to: 1_009 }
  expect(versionsOf(await page(harness, middle))).toEqual(range(1_000, 1_009))
  expect(walked).toBeGreaterThan(2_000)
  for (const isBackwards of [false, true]) {
    walked = 0
    const versions = versionsOf(await page(harness, { ...middle, isBackwards }))
    expect(isBackwards ? versions.toReversed() : versions).toEqual(range(1_000, 1_009))
    expect(walked).toBeLessThan(1_100)
  }
})

test('places are kept of the streams that were used last, and no more than there may be', () => {
  const places = new StreamPlaces({ spacing: 10, placesMax: 6 })
  const address = { journal: 1, segment: 1, offset: 0 }
  const walkPast = (stream: string, versions: number) => {
    for (let version = versions; version > 0; version -= 1) places.pass(stream, { version, address })
  }
  const known = (stream: string) => range(1, 40).filter((version) => places.above(stream, version) !== undefined)
  walkPast('a/1', 25)
  walkPast('a/2', 25)
  walkPast('a/2', 25)
  expect([known('a/2'), known('a/1')]).toEqual([range(1, 20), range(1, 20)])
  walkPast('a/3', 39)
  expect([known('a/1'), known('a/2'), known('a/3')]).toEqual([range(1, 20), [], range(1, 30)])
  walkPast('a/4', 100)
  expect(['a/1', 'a/2', 'a/3'].flatMap(known)).toEqual([])
  expect(known('a/4').length).toBeLessThanOrEqual(40)
  walkPast('a/5', 25)
  walkPast('a/6', 25)
  expect([known('a/5'), known('a/6')]).toEqual([range(1, 20), range(1, 20)])
})

test('a mark that leads nowhere costs a walk from the newest event, and nothing else', async () => {
  const disk = new SimulatedDisk()
  const harness = await long(disk, new SimulatedClock())
  await append(harness, 3, 'other/1')
  const { marks } = await page(harness, {})
  const [{ address }, { address: below }] = [marks[1]!, marks.at(-1)!]
  for (const at of [
    { ...address, offset: address.offset + 8 },
    { ...address, offset: address.offset + 1 },
    { ...address, offset: 2 ** 40 },
    { ...address, segment: 0 },
    { ...address, journal: 99 },
    // Of an older version than the page's last.
    below,
  ]) {
    expect(versionsOf(await page(harness, { from: 2_400, to: 2_500, at }))).toEqual(range(2_400, 2_500))
  }
})

test('what an heir has carried over is found by marks of before', async () => {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const before = await long(disk, clock)
  const { marks } = await page(before, {})
  // It never ends its journal: its last batch is carried over.
  const heir = await open(disk, clock, { segmentBytes: 64 * 1024 })
  const [last] = marks
  expect(versionsOf(await page(heir, { from: 3_400, to: last!.version, at: last!.address }))).toEqual(
    range(3_400, 3_500),
  )
  expect((await read(heir.worker, STREAM, false)).map(({ version }) => version)).toEqual(range(1, LENGTH))
})

test.each([
  ['nothing', undefined],
  ['a range of texts', { from: '1', isBackwards: false, limit: 1 }],
  ['a place that is none', { from: 1, isBackwards: false, limit: 1, at: [1, 2] }],
  ['a filter that is none', { from: 1, isBackwards: false, limit: 1, filter: { metadata: { a: { like: 'b' } } } }],
])('%s is asked for in vain', async (_, payload) => {
  const harness = await open(new SimulatedDisk(), new SimulatedClock())
  await expect(ask(harness.worker, STREAM, payload)).rejects.toThrow('BadPayload')
})

test("a stream that is nobody's answers no commands and no queries of users", async () => {
  const harness = await open(new SimulatedDisk(), new SimulatedClock())
  const refused = {
    kind: 'failed',
    failure: expect.objectContaining({ code: 'UnknownCommand', outcome: 'none' }) as object,
  }
  for (let times = 0; times < 2; times += 1) {
    expect(await harness.ask({ stream: STREAM, name: 'deposit', payload: 1 })).toEqual(refused)
    expect(await harness.query(STREAM, 'balance')).toEqual(refused)
    expect(await harness.query(STREAM, '$other')).toEqual(refused)
    await append(harness, 1)
  }
})

test('whatever the bounds of a page, all pages together are what was asked for', async () => {
  const harness = await open(new SimulatedDisk(), new SimulatedClock(), { segmentBytes: 64 * 1024 })
  const types = Array.from({ length: 120 }, (_, i) => (i % 7 === 0 || i > 90 ? 'Rare' : 'Common'))
  const events = types.map((type) => ({ type, data: 'x'.repeat(50) }))
  for (let at = 0; at < types.length; at += 10) {
    await harness.ask({ stream: STREAM, name: APPEND, payload: { events: events.slice(at, at + 10) } })
  }
  const stream = harness.log.placement.stream(STREAM)
  const places = new StreamPlaces({ spacing: 7, placesMax: 12 })
  const small = fc.integer({ min: 1, max: 40 })
  const bounds: fc.Arbitrary<PageBounds> = fc.record({
    events: small,
    bytes: fc.integer({ min: 1, max: 9_000 }),
    versions: small,
    walk: fc.integer({ min: 1, max: 150 }),
  })
  const request = fc.record({
    bounds,
    ends: fc.tuple(fc.integer({ min: 0, max: 130 }), fc.integer({ min: 0, max: 130 })),
    isOpen: fc.boolean(),
    isBackwards: fc.boolean(),
    isFiltered: fc.boolean(),
    limit: fc.oneof(fc.constant(1e9), small),
  })
  await fc.assert(
    fc.asyncProperty(request, async ({ bounds: given, ends, isOpen, isBackwards, isFiltered, limit }) => {
      const [from, last] = [Math.min(...ends), Math.max(...ends)]
      const to = isOpen ? undefined : last
      const filter = isFiltered ? { types: ['Rare'] } : undefined
      const askFor = async (asked: PageRequest): Promise<unknown> =>
        readPage(harness.log, stream, asked, { places, bounds: given })
      const found = await readWith(askFor, { from, to, isBackwards, limit, filter })
      const wanted = range(1, 120).filter((version) => {
        return version >= from && version <= (to ?? 120) && (!isFiltered || types[version - 1] === 'Rare')
      })
      const expected = (isBackwards ? wanted.toReversed() : wanted).slice(0, limit)
      expect(found.map(({ version }) => version)).toEqual(expected)
    }),
    { numRuns: 300, ...inTime() },
  )
})
