import { expect, test } from 'vitest'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { openLog } from '../log/noted.ts'
import { deposit, open } from './harness.ts'

const MS = 500
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function start() {
  const [disk, clock] = [new SimulatedDisk(), new SimulatedClock()]
  const opened = await open(disk, clock, { own: [0, 1] })
  clock.advance(1_000)
  return { ...opened, disk, clock, tails: opened.worker.tails }
}

test('a reader is told as soon as more is durable, and after a while that there is nothing', async () => {
  const { tails, clock, ask } = await start()
  const first = await tails.next(undefined, MS)
  expect(first.shards.map(({ shard }) => shard)).toEqual([0, 1])
  let told: unknown
  const next = tails.next(first, MS).then((tail) => (told = tail))
  await turn()
  expect(told).toBeUndefined()
  const reply = await ask(deposit('account/1', 1))
  await next
  expect(told).toMatchObject({ journal: first.journal, position: (reply as { position: number }).position })
  const last = await tails.next(undefined, MS)
  const idle = tails.next(last, MS)
  await turn()
  clock.advance(MS)
  expect(await idle).toEqual(last)
})

test('a shard that somebody has claimed is not told of, though nothing was written since', async () => {
  const { tails, disk } = await start()
  const before = await tails.next(undefined, MS)
  await openLog(disk, [0])
  const tail = await tails.next(before, MS)
  expect(tail.shards.map(({ shard }) => shard)).toEqual([1])
  expect(tail.ownership).toBeGreaterThan(before.ownership)
})

test('a promise stands in the journal before anybody counts on it, and nothing comes below it', async () => {
  const { tails, log, ask } = await start()
  await ask(deposit('account/1', 1))
  const position = log.head.position + 4096 * 60_000
  const tail = await tails.above(position)
  expect(tail.position).toBe(position)
  expect(log.head.position).toBe(position)
  const end = tail.end
  // It has promised as much: nothing need be written.
  expect((await tails.above(position)).end).toEqual(end)
  expect(await ask(deposit('account/1', 1))).toMatchObject({ position: position + 1 })
})

test('a promise needs no record of its own where one that says as much is on its way', async () => {
  const { tails, log, ask } = await start()
  const records = log.lag.records
  const asked = ask(deposit('account/1', 1))
  await turn()
  const [tail] = await Promise.all([tails.above(log.positionAdded), asked])
  expect(records).toBe(0)
  expect(tail.position).toBe(log.positionAdded)
})

test('where there is no room for a promise whoever asks for it is told so', async () => {
  const { tails, disk, log, ask } = await start()
  disk.room = 0
  let reply = await ask(deposit('account/1', 1))
  while (reply.kind === 'accepted') reply = await ask(deposit('account/1', 1))
  const { position } = log.head
  await expect(tails.above(position + 1)).rejects.toMatchObject({ code: 'StorageFull' })
  expect(await tails.next(undefined, MS)).toMatchObject({ position })
})

test('a worker that closes lets nobody wait, and writes no marks any more', async () => {
  const { tails, worker, log, clock } = await start()
  const waiting = tails.next(await tails.next(undefined, MS), MS)
  await turn()
  await worker.close()
  clock.advance(MS)
  await waiting
  const { position } = log.head
  expect(await tails.above(position + 1)).toMatchObject({ position })
})
