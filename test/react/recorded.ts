/** What a consumer of a real node has recorded: where whoever comes next begins, so that nothing up to there is done again. */
import { expect } from 'vitest'
import type { RefHost } from '../../src/cluster/ref.ts'
import type { Node } from '../../src/index.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { CONSUMER, type ConsumerState } from '../../src/react/consumer-record.ts'

/**
 * Resolves once all that these streams have is recorded as done. A node that closes does so within a second, or leaves it to be done again.
 * @param key the consumer, as `reactor:mails`
 */
export async function untilRecorded(node: Node, key: string, ...streams: readonly string[]): Promise<void> {
  const host = node as unknown as RefHost
  const store = node.store as unknown as RunningNodeStore
  const effects = new NodeEffects({ host, store, aggregates: [] }).from(0, 0)
  for (const stream of streams) {
    const last = (await Array.fromAsync(node.store.load(stream))).at(-1)!.position
    const record = effects.inShard(host.shardOf(stream), CONSUMER, key)
    const state = async () => (await effects.query({ stream: record, name: 'state' })) as ConsumerState
    await expect.poll(async () => (await state()).place?.position, { timeout: 30_000 }).toBeGreaterThanOrEqual(last)
  }
}
