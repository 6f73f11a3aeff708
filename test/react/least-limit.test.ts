import { expect, onTestFinished, test } from 'vitest'
import { defineCluster, defineReactor, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

test('the longest reason for which an event is parked fits where commands have the least room', async () => {
  const reason = '漢'.repeat(5_000)
  const grumbler = defineReactor({
    name: 'g'.repeat(64),
    from: [Account],
    startAt: 'beginning',
    retries: 0,
    on: { MoneyDeposited: () => Promise.reject(new Error(reason)) },
  })
  const node = await startNode(
    defineCluster({
      name: 'grumbling',
      aggregates: [Account],
      reactors: [grumbler],
      dataDir: temporaryFolder(),
      shards: 1,
      workers: 'inline',
      limits: { commandBytesMax: 16 * 1024 },
      onWarning: () => undefined,
    }),
  )
  onTestFinished(() => node.close())
  const id = '漢'.repeat(148)
  await node.ref(Account, id).ask('deposit', { amount: 1 })
  await expect.poll(() => node.reactor(grumbler).parked(), { timeout: 30_000 }).toHaveLength(1)
  const [parked] = await node.reactor(grumbler).parked()
  expect(parked).toMatchObject({ stream: `account/${id}`, reason: `Error: ${reason}`.slice(0, 1_000) })
})
