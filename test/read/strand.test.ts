import { expect, test } from 'vitest'
import { startRows, upTo, writeEvents } from './followed-rows.ts'

test('one that stands still holds up no other, and goes on where it was', async () => {
  const { log, follow, seen, held, until, stop, bytesRead } = await startRows()
  const release = Promise.withResolvers<void>()
  held[0] = release.promise
  await writeEvents(log, 0, 1)
  const rows = [follow(0), follow(1)]
  await until(() => seen[0]!.length === 1)
  for (let i = 0; i < 30; i += 1) {
    await writeEvents(log, 0, 1)
    await writeEvents(log, 1, 1)
  }
  await until(() => seen[1]!.length === 30)
  expect(seen).toEqual([[1], upTo(30)])
  held[0] = Promise.resolve()
  release.resolve()
  await until(() => seen[0]!.length === 31)
  await writeEvents(log, 0, 1)
  await until(() => seen[0]!.length === 32)
  expect(seen).toEqual([upTo(32), upTo(30)])
  // It reads with the others again.
  const [before, { end }] = [bytesRead(), log.head]
  await writeEvents(log, 0, 50)
  await until(() => seen[0]!.length === 82)
  expect(bytesRead() - before).toBeLessThan((log.head.end.offset - end.offset) * 1.2)
  stop.abort()
  await Promise.all(rows)
})

test('a journal is read once for all', async () => {
  const alone = await startRows()
  for (let i = 0; i < 200; i += 1) for (const shard of [0, 1]) await writeEvents(alone.log, shard, 1)
  const row = alone.follow(1)
  await alone.until(() => alone.seen[1]!.length === 200)
  alone.stop.abort()
  await row

  const both = await startRows()
  for (let i = 0; i < 200; i += 1) for (const shard of [0, 1]) await writeEvents(both.log, shard, 1)
  const rows = [both.follow(0), both.follow(1)]
  await both.until(() => both.seen.every(({ length }) => length === 200))
  both.stop.abort()
  await Promise.all(rows)
  // But for the openings, which each looks at.
  expect(both.bytesRead()).toBeLessThan(alone.bytesRead() * 1.3)
})

test('whoever goes on behind any event gets all that follows, in whichever segment', async () => {
  const { log, follow, seen, until, stop, positions } = await startRows()
  for (let segment = 0; segment < 4; segment += 1) {
    await writeEvents(log, 0, 3)
    log.rollOver()
    await log.append(log.cut())
  }
  const rows = [follow(0)]
  await until(() => seen[0]!.length === 12)
  const places = [...positions]
  for (const [index, position] of places.entries()) {
    seen[0] = []
    rows.push(follow(0, position))
    if (index < 11) await until(() => seen[0]!.at(-1) === 12)
    expect(seen[0]).toEqual(upTo(12).slice(index + 1))
  }
  stop.abort()
  await Promise.all(rows)
})
