import { expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { nodeClosed, timeout } from '../../src/cluster/error.ts'
import { logCorrupt } from '../../src/log/error.ts'
import type { LogRecord } from '../../src/log/record.ts'
import type { RecordsPage } from '../../src/node/event-store.ts'
import { followStream } from '../../src/node/stream-subscription.ts'
import type { StreamNews } from '../../src/read/stream-news.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const recordOf = (version: number): LogRecord =>
  ({
    version,
    stream: 'a/1',
    address: { journal: 1, segment: 1, offset: 0 },
    eventIdSlice: { bytes: new Uint8Array(16), start: 0 },
    commandId: { bytes: new Uint8Array(16), start: 0 },
    time: 0,
  }) as unknown as LogRecord

/**
 * What each reading of the stream gives, in turn: versions, or what it fails with. After the last its node is closed. The
 * stream ends at a version when following begins, or it is not known where.
 */
function follow(readings: readonly (readonly number[] | Error)[], isFiltered = false, end: number | Error = 2) {
  const clock = new SimulatedClock()
  const asked: number[] = []
  async function* load(_: string, { from }: { from?: number }): AsyncGenerator<RecordsPage, void> {
    const reading = readings[asked.push(from!) - 1] ?? nodeClosed('none')
    if (reading instanceof Error) throw reading
    yield { records: reading.map(recordOf), next: (reading.at(-1) ?? from! - 1) + 1 }
  }
  const follower = {
    isClosed: false,
    next: async () => asked.length < readings.length,
    close: () => (follower.isClosed = true),
  }
  const news = { follow: () => follower } as unknown as StreamNews
  const { signal } = new AbortController()
  const options = { stream: 'a/1', after: 2, raw: true as const, ...(isFiltered && { filter: {} }) }
  const versionOf = async (): Promise<number> => {
    if (end instanceof Error) throw end
    return end
  }
  const ports = { aggregate: undefined, news, load, versionOf, restorations: async () => [], clock, signal }
  const read = Array.fromAsync(followStream(options, ports), ({ version }) => version)
  return { clock, asked, follower, read }
}

test('it reads on from where it is, whenever there is news', async () => {
  const { read, asked, follower } = follow([[3, 4], [], [5], [6, 7]])
  expect(await read).toEqual([3, 4, 5, 6, 7])
  expect(asked).toEqual([3, 5, 5, 6])
  expect(follower.isClosed).toBe(true)
})

test('while nobody can answer it asks again, and with its node it ends', async () => {
  const late = timeout({ stream: 'a/1' }, 'a query', 5)
  const { read, asked, clock } = follow([[3], late, late, [4], nodeClosed('unknown')])
  for (let i = 0; i < 10; i += 1) {
    await turn()
    clock.advance(100)
  }
  expect(await read).toEqual([3, 4])
  expect(asked).toEqual([3, 4, 4, 4, 5])
})

test('what cannot be read ends it, and so does a version that is missing or comes again', async () => {
  const harmed = logCorrupt('x', 0, 'harmed')
  const ofFailure = follow([[3], harmed])
  await expect(ofFailure.read).rejects.toBe(harmed)
  expect(ofFailure.follower.isClosed).toBe(true)
  for (const reading of [[4], [3, 5], [2], [3, 3]]) {
    await expect(follow([reading]).read).rejects.toMatchObject({ code: 'LogCorrupt' })
  }
  expect(await follow([[4, 7]], true).read).toEqual([4, 7])
  await expect(follow([[4, 4]], true).read).rejects.toBeInstanceOf(PenholdError)
})

test('behind a version that the stream has not reached it is refused, once that is known', async () => {
  const { read, follower, asked } = follow([[3]], false, 1)
  await expect(read).rejects.toMatchObject({ code: 'PlaceAhead', details: { stream: 'a/1', after: 2, version: 1 } })
  expect([follower.isClosed, asked]).toEqual([true, []])

  const late = follow([[3]], false, timeout({ stream: 'a/1' }, 'a query', 5))
  let hasEnded = false
  void late.read.catch(() => undefined).finally(() => (hasEnded = true))
  for (let i = 0; i < 5; i += 1) {
    await turn()
    late.clock.advance(100)
  }
  expect([hasEnded, late.asked]).toEqual([false, []])
})
