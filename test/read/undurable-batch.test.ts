import { expect, test } from 'vitest'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import type { Fault } from '../../src/testing/simulated-storage.ts'
import { addEvent, openLog } from '../log/noted.ts'
import { startRows, upTo, writeEvents } from './followed-rows.ts'

test('a row has nothing that is not durable, also where another shard was sealed behind it', async () => {
  const disk = new SimulatedDisk()
  const [reached, synced] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let isSlow = false
  const slow = await openLog(disk, [0, 1], async ({ name }): Promise<Fault> => {
    if (!isSlow || name !== 'sync') return 'none'
    reached.resolve()
    await synced.promise
    return 'none'
  })
  await writeEvents(slow, 0, 2)
  await writeEvents(slow, 1, 2)
  isSlow = true
  addEvent(slow, 1, slow.positions.next())
  const appended = slow.append(slow.cut())
  await reached.promise
  // It seals the shard behind the batch that has nothing of it.
  const heir = await openLog(disk, [0])
  await slow.lostShards([0])
  const { follow, seen, until, stop, places } = await startRows(disk, slow, heir)
  const rows = [follow(1), follow(0)]
  await writeEvents(heir, 0, 1)
  await until(() => seen[0]!.length === 3 && seen[1]!.length >= 2)
  expect(places[0]).toBe(heir.head.position)
  expect(seen).toEqual([upTo(3), upTo(2)])
  synced.resolve()
  await appended
  await until(() => seen[1]!.length === 3)
  await writeEvents(slow, 1, 1)
  await until(() => seen[1]!.length === 4)
  expect(seen).toEqual([upTo(3), upTo(4)])
  stop.abort()
  await Promise.all(rows)
})
