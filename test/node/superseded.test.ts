import { expect, test } from 'vitest'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { startSimulatedNode } from './simulated-node.ts'

test('a node whose shards another process took over says so, once', async () => {
  const disk = new SimulatedDisk()
  const old = await startSimulatedNode(disk)
  await old.account('1').ask('deposit', { amount: 1 })
  const heir = await startSimulatedNode(disk)
  for (let i = 0; i < 3; i += 1) {
    await expect(old.account('1').query('balance')).rejects.toMatchObject({
      code: i === 0 ? 'OwnershipLost' : 'ShardUnavailable',
    })
  }
  expect(old.warnings).toEqual([expect.stringContaining('another process has taken over 2 of the 2 shards')])
  expect(await heir.account('1').query('balance')).toBe(1)
  expect(heir.warnings).toEqual([])
})
