import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Log } from '../../src/log/log.ts'
import { acceptLoss } from '../../src/log/losses.ts'
import { segmentPath } from '../../src/log/path.ts'
import type { Address } from '../../src/log/record.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { addEvent, openLog, writeEvent } from '../log/noted.ts'
import { smash } from '../log/damaged-log.ts'
import { startRows, upTo, writeEvents } from './followed-rows.ts'

/** Flips a bit of a record, or sets it right again. */
function flip(disk: SimulatedDisk, { journal, segment, offset }: Address): void {
  disk.files.get(segmentPath(journal, segment))!.live[offset + 70]! ^= 4
}

/** Rounds of an event of each shard; resolves to where those of shard 0 stand, and at which positions. */
async function writeRounds(log: Log, rounds: number): Promise<{ readonly at: Address; readonly position: number }[]> {
  const written: { at: Address; position: number }[] = []
  for (let round = 0; round < rounds; round += 1) {
    const at = await writeEvent(log, 0)
    written.push({ at, position: log.head.position })
    await writeEvent(log, 1)
  }
  return written
}

const corrupt = { code: 'LogCorrupt' }

test('a flipped bit stops the shard whose event has it, and no other; mended, that one goes on, too', async () => {
  for (const [harmed, rounds] of [
    [0, 6],
    [2, 6],
    // Nothing of the shard follows.
    [5, 6],
  ] as const) {
    const { disk, log, follow, seen, until, stop } = await startRows()
    const written = await writeRounds(log, rounds)
    const place = harmed === 0 ? 0 : written[harmed - 1]!.position
    flip(disk, written[harmed]!.at)
    const other = follow(1)
    await expect(follow(0)).rejects.toMatchObject(corrupt)
    await expect(follow(0, place)).rejects.toMatchObject(corrupt)
    await until(() => seen[1]!.length === rounds)
    expect(seen[0]).toEqual(upTo(harmed))
    await writeEvents(log, 1, 3)
    await until(() => seen[1]!.length === rounds + 3)
    await expect(follow(0, place)).rejects.toMatchObject(corrupt)
    flip(disk, written[harmed]!.at)
    const mended = follow(0, place)
    await until(() => seen[0]!.length === rounds)
    await writeEvents(log, 0, 2)
    await until(() => seen[0]!.length === rounds + 2)
    expect(seen).toEqual([upTo(rounds + 2), upTo(rounds + 3)])
    stop.abort()
    await Promise.all([other, mended])
  }
})

test('it stops before the event, also where others of its batch are whole', async () => {
  const { disk, log, follow, seen, until, stop } = await startRows()
  const batch = [0, 1, 0, 1, 0, 1].map((shard) => addEvent(log, shard, log.positions.next()))
  await log.append(log.cut())
  flip(disk, batch[2]!)
  const other = follow(1)
  await expect(follow(0)).rejects.toMatchObject(corrupt)
  await until(() => seen[1]!.length === 3)
  expect(seen).toEqual([[1], [1, 2, 3]])
  stop.abort()
  await other
})

test('whoever has gone past the event is not stopped by it, wherever behind it they begin', async () => {
  const { disk, log, follow, seen, until, stop } = await startRows()
  const written = await writeRounds(log, 6)
  flip(disk, written[2]!.at)
  const rows: Promise<void>[] = []
  for (const at of [2, 3, 4]) {
    seen[0] = []
    rows.push(follow(0, written[at]!.position))
    await until(() => seen[0]!.at(-1) === 6)
    expect(seen[0]).toEqual(upTo(6).slice(at + 1))
  }
  stop.abort()
  await Promise.all(rows)
})

test('what is missing stops the shard that it is of, and once it is accepted as lost that one goes on, too', async () => {
  const { disk, log, follow, seen, losses, until, stop } = await startRows()
  const written = await writeRounds(log, 6)
  const { at } = written[2]!
  smash(disk, at.offset)
  const other = follow(1)
  await expect(follow(0)).rejects.toMatchObject(corrupt)
  await until(() => seen[1]!.length === 6)
  expect(seen[0]).toEqual([1, 2])
  await acceptLoss(new SimulatedStorage(disk), at, { from: at.offset - 200, to: at.offset + 400 })
  const accepted = follow(0, written[1]!.position)
  await until(() => seen[0]!.at(-1) === 6)
  expect(seen[0]).toEqual([1, 2, 4, 5, 6])
  expect(losses).toEqual([{ shard: 0, firstSeq: 3, lastSeq: 3 }])
  stop.abort()
  await Promise.all([other, accepted])
})

test('what is accepted as lost excuses nothing that is missing beside it', async () => {
  const { disk, log, follow, seen, losses, until, stop } = await startRows()
  const written = await writeRounds(log, 6)
  const accept = async ({ offset, ...segment }: Address): Promise<void> => {
    await acceptLoss(new SimulatedStorage(disk), segment, { from: offset - 48, to: offset + 400 })
  }
  for (const nth of [2, 3]) smash(disk, written[nth]!.at.offset)
  for (const nth of [2, 3]) {
    await expect(follow(0)).rejects.toMatchObject(corrupt)
    await expect(follow(0, written[1]!.position)).rejects.toMatchObject(corrupt)
    expect(seen[0]!.splice(0)).toEqual([1, 2])
    await accept(written[nth]!.at)
  }
  const accepted = follow(0)
  await until(() => seen[0]!.at(-1) === 6)
  expect(seen[0]).toEqual([1, 2, 5, 6])
  expect(losses).toEqual([{ shard: 0, firstSeq: 3, lastSeq: 4 }])
  stop.abort()
  await accepted
})

test('a missing event is noticed also where none of its shard follows', async () => {
  const { disk, log, follow, seen, losses, until, stop } = await startRows()
  const written = await writeRounds(log, 3)
  const rows = [expect(follow(0)).rejects.toMatchObject(corrupt), follow(1)]
  await until(() => seen.every(({ length }) => length === 3))
  // Of what comes while a row follows, and of what was there before.
  const lost = await writeEvent(log, 0)
  smash(disk, lost.offset)
  await writeEvents(log, 1, 2)
  await until(() => seen[1]!.length === 5)
  await rows[0]
  await expect(follow(0, written[2]!.position)).rejects.toMatchObject(corrupt)

  await acceptLoss(new SimulatedStorage(disk), lost, { from: lost.offset - 200, to: lost.offset + 400 })
  const accepted = follow(0, written[2]!.position)
  await writeEvents(log, 1, 1)
  await until(() => seen[1]!.length === 6)
  await writeEvents(log, 0, 1)
  await until(() => seen[0]!.length === 4)
  expect(seen).toEqual([[1, 2, 3, 5], upTo(6)])
  expect(losses).toEqual([{ shard: 0, firstSeq: 4, lastSeq: 4 }])
  stop.abort()
  await Promise.all([rows[1], accepted])
})

test('where the end of a journal is gone each shard gets what comes before', async () => {
  const { disk, log, follow, seen, held, until } = await startRows()
  await writeRounds(log, 4)
  const { offset } = await writeEvent(log, 1)
  disk.files.get(segmentPath(1, 1))!.live.fill(0, offset - 48)
  const release = Promise.withResolvers<void>()
  void held.fill(release.promise)
  const rows = [0, 1].map((shard) => expect(follow(shard)).rejects.toMatchObject(corrupt))
  await until(() => seen.every(({ length }) => length > 0))
  // Meanwhile what they read together has come to its end.
  for (let i = 0; i < 50; i += 1) await setImmediate()
  release.resolve()
  await Promise.all(rows)
  expect(seen).toEqual([upTo(4), upTo(4)])
})

test('an opening is not passed before the last event of the owner before it', async () => {
  const before = await startRows()
  const { disk } = before
  const written = await writeRounds(before.log, 4)
  // Its former writer's last batch has nothing of the shard.
  const log = await openLog(disk, [0, 1])
  const whole = await startRows(disk, log)
  const row = whole.follow(0)
  await whole.until(() => whole.places[0]! > written[3]!.position)
  whole.stop.abort()
  await row

  const { at } = written[3]!
  smash(disk, at.offset)
  const { follow, places, seen, losses, until, stop } = await startRows(disk, log)
  for (const place of [0, written[1]!.position, written[2]!.position]) {
    await expect(follow(0, place)).rejects.toMatchObject(corrupt)
    expect(places[0]).toBeLessThanOrEqual(written[2]!.position)
  }
  await writeEvents(log, 0, 1)
  await expect(follow(0, written[2]!.position)).rejects.toMatchObject(corrupt)

  seen[0] = []
  await acceptLoss(new SimulatedStorage(disk), at, { from: at.offset - 200, to: at.offset + 400 })
  const accepted = follow(0)
  await until(() => seen[0]!.at(-1) === 5)
  expect(seen[0]).toEqual([1, 2, 3, 5])
  expect(losses).toEqual([{ shard: 0, firstSeq: 4, lastSeq: 4 }])
  stop.abort()
  await accepted
})
