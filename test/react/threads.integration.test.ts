import { expect, onTestFinished, test } from 'vitest'
import type { RefHost } from '../../src/cluster/ref.ts'
import { startNode, type Node } from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'
import { Counter, gate } from './threads.config.ts'

async function start(): Promise<Node> {
  const node = await startNode(new URL('threads.config.ts', import.meta.url), { dataDir: temporaryFolder() })
  onTestFinished(() => node.close())
  return node
}

/** Ids of counters, of which the first belongs to another worker than the second. */
async function apart(node: Node): Promise<readonly [string, string]> {
  const [one] = (await node.status()).workers
  const ofFirst = new Set(one!.shards.map(({ shard }) => shard))
  const host = node as unknown as RefHost
  const ids = Array.from({ length: 64 }, (_, id) => String(id))
  const isFirst = (id: string): boolean => ofFirst.has(host.shardOf(`counter/${id}`))
  return [ids.find(isFirst)!, ids.find((id) => !isFirst(id))!]
}

test('what a handler sends after it has heard of something comes behind that, whichever workers do it (I6)', async () => {
  const node = await start()
  const [ahead, behind] = await apart(node)
  const positionOf = async (id: string): Promise<number> => {
    const events = await Array.fromAsync(node.store.load(`counter/${id}`))
    return events.at(-1)?.position ?? 0
  }
  gate.pass = async () => {
    // From here on the positions that the first worker gives are an hour ahead of the other's.
    const host = node as unknown as RefHost
    host.observe((await positionOf(`from-${ahead}-${behind}`)) + 3_600_000 * 4_096)
    await node.ref(Counter, ahead).ask('count', { by: 1 })
  }
  await node.ref(Counter, `from-${ahead}-${behind}`).ask('count', { by: 1 })
  await expect.poll(() => positionOf(behind)).toBeGreaterThan(0)
  expect(await positionOf(behind)).toBeGreaterThan(await positionOf(ahead))
})
