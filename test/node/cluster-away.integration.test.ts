import { expect, test } from 'vitest'
import { defineCluster, startNode, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

async function ownedBy(node: Node): Promise<number> {
  return (await node.status()).workers[0]!.shards.length
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 50))
}

test.skipIf(!hasRedis)(
  'a node that closes while Redis is away hands over all the same, and no command fails (needs redis-server)',
  async () => {
    const redis = await startRedis()
    const dataDir = temporaryFolder()
    const definition = {
      name: 'bank',
      aggregates: [Account],
      dataDir,
      redis: redis.url,
      shards: 8,
      timeouts: { askMs: 30_000 },
    } as const
    const config = (nodeName: string) =>
      defineCluster({ ...definition, nodeName, workers: 'inline', onWarning: () => undefined })
    const leaver = await startNode(config('leaver'))
    const heir = await startNode(config('heir'))
    await until(async () => (await ownedBy(leaver)) === 4 && (await ownedBy(heir)) === 4)
    redis.pause()
    let isOver = false
    let asked = 0
    const callers = Promise.all(
      Array.from({ length: 8 }, async (_, caller) => {
        for (; !isOver; asked += 1) await heir.ref(Account, `${caller}/${asked % 20}`).ask('deposit', { amount: 1 })
      }),
    )
    await leaver.close()
    await until(async () => (await ownedBy(heir)) === 8)
    redis.resume()
    isOver = true
    await callers
    expect(asked).toBeGreaterThan(0)
    await heir.close()
    await redis.stop()
  },
)
