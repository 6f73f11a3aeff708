/** What a node reads for a client, before it is cut into pages. */
import { expect, test } from 'vitest'
import type { Node } from '../../src/index.ts'
import type { ReadingRun } from '../../src/cluster/held-reading.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { encodeAllRequest, encodeStreamRequest, type AllRequest } from '../../src/node/reading-request.ts'
import { BEGINNING } from '../../src/read/all.ts'
import { Account } from '../account.ts'
import { all, start } from './reading-node.ts'

const ALL: AllRequest = {
  after: BEGINNING,
  mayBeAhead: false,
  until: undefined,
  untilEvent: undefined,
  streams: undefined,
  filter: undefined,
  isLive: false,
}

async function written() {
  const node = await start()
  for (let i = 0; i < 20; i += 1) {
    await node.ref(Account, `a${i % 3}`).ask('deposit', { amount: i })
    await node.store.append('log/1', [{ type: i % 5 === 0 ? 'Fifth' : 'Noted' }])
  }
  return { node, events: await all(node.store.readAll()) }
}

const storeOf = (node: Node): RunningNodeStore => node.store as unknown as RunningNodeStore
const { signal } = new AbortController()
const runsOf = (node: Node, request: Partial<AllRequest>): Promise<ReadingRun[]> =>
  all(storeOf(node).openReading('all', encodeAllRequest({ ...ALL, ...request }), signal))
const placesOf = (runs: readonly ReadingRun[]): number[] =>
  runs.flatMap(({ records }) => records.map(({ position }) => position))

test('only what is wanted is sent, with the places of what was looked at', async () => {
  const { node, events } = await written()
  const runs = await runsOf(node, { streams: ['log'], filter: { types: ['Fifth'] } })
  const wanted = events.filter(({ type }) => type === 'Fifth')
  expect(placesOf(runs)).toEqual(wanted.map(({ position }) => position))
  const places = new Set(events.map(({ place }) => place))
  const said = runs.flatMap(({ place }) => (place === undefined ? [] : [`${place.position}.${place.shard}`]))
  expect(said.at(-1)).toBe(events.at(-1)!.place)
  // Where no event stands a log that was restored could not be told from this one.
  for (const place of said) expect(places).toContain(place)
})

test('an end is said first, and is that of the moment where none was given, or a later one', async () => {
  const { node, events } = await written()
  const last = events.at(-1)!.position
  for (const until of [undefined, { position: last + 1_000_000, shard: 0 }]) {
    const [first] = await runsOf(node, { until })
    expect(first).toMatchObject({ records: [], until: { shard: 0xffff } })
    expect(first!.until!.position).toBeGreaterThanOrEqual(last)
    expect(first!.until!.position).toBeLessThan(last + 1_000_000)
  }
  const until = { position: events[7]!.position, shard: 0xffff }
  const runs = await runsOf(node, { until })
  expect([runs[0]!.until, placesOf(runs).length]).toEqual([until, 8])
})

test('the last event says that it is the last, wanted or not', async () => {
  const { node, events } = await written()
  const log = events.findLast(({ stream }) => stream === 'log/1')!
  const runs = await runsOf(node, { untilEvent: log.id, streams: ['account'] })
  expect(runs.at(-1)!.isLast).toBe(true)
  expect(placesOf(runs)).toHaveLength(20)
  await expect(runsOf(node, { untilEvent: log.id, after: { position: log.position, shard: 0xffff } })).rejects.toThrow(
    'no event with the id',
  )
})

test('what is nothing to read is refused', async () => {
  const { node } = await written()
  const refuses = (kind: 'all' | 'stream', request: object): void =>
    expect(() => storeOf(node).openReading(kind, { ...request }, signal), JSON.stringify(request)).toThrow(
      expect.objectContaining({ code: 'BadPayload' }) as Error,
    )
  const request = encodeAllRequest(ALL)
  const wrong = [
    { after: undefined },
    { after: [1] },
    { after: [-1, 0] },
    { after: [2 ** 53, 0] },
    { after: [1, 70_000] },
    { mayBeAhead: 1 },
    { isLive: undefined },
    { until: 'x' },
    { untilEvent: 'x' },
    { streams: 'account' },
    { streams: [1] },
    { filter: { type: [] } },
    { later: 1 },
  ]
  for (const each of wrong) refuses('all', { ...request, ...each })
  const stream = encodeStreamRequest({ stream: 'log/1', after: 0, filter: undefined })
  for (const each of [{ stream: 'log' }, { stream: 1 }, { after: -1 }, { after: '0' }, { filter: [] }, { from: 1 }]) {
    refuses('stream', { ...stream, ...each })
  }
})

test('a node that closes says so, which is no end', async () => {
  const { node } = await written()
  const store = storeOf(node)
  const stream = encodeStreamRequest({ stream: 'log/1', after: 18, filter: undefined })
  const begun = Promise.withResolvers<void>()
  const toTheEnd = async (runs: AsyncIterable<ReadingRun>): Promise<void> => {
    for await (const { isLevel } of runs) if (isLevel === true) begun.resolve()
  }
  const ends = [
    toTheEnd(store.openReading('stream', stream, signal)),
    toTheEnd(store.openReading('all', encodeAllRequest({ ...ALL, isLive: true }), signal)),
  ]
  const told = Promise.allSettled(ends)
  await begun.promise
  await node.close()
  expect(await told).toMatchObject([{ reason: { code: 'NodeClosed' } }, { reason: { code: 'NodeClosed' } }])
})
