/** A handler that holds its thread and was asked for from another node. */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startNode, type Node, type Overrides } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { expectLeftAlone } from './left-alone.ts'
import { Troublesome } from './troublesome.ts'

async function startNodes(): Promise<[Node, Node]> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const overrides: Overrides = { dataDir: temporaryFolder(), redis: server.url, workers: 1 }
  const start = async (nodeName: string): Promise<Node> => {
    const node = await startNode(new URL('troublesome.config.ts', import.meta.url), { ...overrides, nodeName })
    onTestFinished(() => node.close())
    return node
  }
  const nodes: [Node, Node] = [await start('asking'), await start('asked')]
  await vi.waitFor(async () => expect(await shardsOf(nodes[1])).toHaveLength(2), { timeout: 60_000, interval: 20 })
  return nodes
}

async function shardsOf(node: Node): Promise<number[]> {
  const { workers } = await node.status()
  return workers.flatMap((worker) => worker?.shards ?? []).map(({ shard }) => shard)
}

/** An id of the aggregate that the node serves. */
async function served(node: Node, type: string): Promise<string> {
  const shards = await shardsOf(node)
  const placement = node as unknown as { shardOf(stream: string): number }
  return Array.from({ length: 100 }, (_, i) => String(i)).find((id) =>
    shards.includes(placement.shardOf(`${type}/${id}`)),
  )!
}

describe.skipIf(!hasRedis)('a handler that holds its thread, asked for from another node', { timeout: 120_000 }, () => {
  test('costs its aggregate alone: no other, with whatever number, is taken for it', async () => {
    const [asking, asked] = await startNodes()
    const stuck = await served(asked, 'troublesome')
    const account = asked.ref(Account, await served(asked, 'account'))
    const hung = asking.ref(Troublesome, stuck).ask('hang')
    const own = Array.from({ length: 40 }, () => account.ask('deposit', { amount: 1 }))
    await expect(hung).rejects.toMatchObject({ code: 'HandlerStuck', details: { stream: `troublesome/${stuck}` } })
    expect((await Promise.all(own)).map(({ version }) => version)).toEqual(own.map((_, i) => i + 1))
    expect((await asked.status()).workerRestarts).toBe(1)
    expect((await asking.status()).workerRestarts).toBe(0)
    // Whoever asks.
    const adds = [asking, asked].map((node) => () => node.ref(Troublesome, stuck).ask('add', { count: 1 }))
    await expectLeftAlone(adds, () => asking.ref(Troublesome, stuck).ask('hang'))
    await vi.waitFor(adds[0]!, { timeout: 60_000, interval: 100 })
  })
})
