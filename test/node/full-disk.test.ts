import { expect, test } from 'vitest'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { startSimulatedNode } from './simulated-node.ts'

test('on a full disk commands go on until the zeroes ahead are used up, and a stop works and loses nothing', async () => {
  const disk = new SimulatedDisk()
  const before = await startSimulatedNode(disk)
  const account = before.account('1')
  await account.ask('deposit', { amount: 1 })
  disk.room = 0
  let balance = 1
  let failure: unknown
  while (failure === undefined && balance < 5000) {
    await account.ask('deposit', { amount: 1 }).then(
      () => (balance += 1),
      (error: unknown) => (failure = error),
    )
  }
  expect(failure).toMatchObject({ code: 'StorageFull', outcome: 'none' })
  expect(balance).toBeGreaterThan(100)
  await before.worker.close()
  await expect(startSimulatedNode(disk)).rejects.toMatchObject({ code: 'StorageFull' })
  disk.room = Number.POSITIVE_INFINITY
  const after = await startSimulatedNode(disk)
  expect(await after.account('1').query('balance')).toBe(balance)
})
