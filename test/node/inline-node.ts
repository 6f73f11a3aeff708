import { onTestFinished } from 'vitest'
import { defineCluster, startNode, type Node, type Overrides } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { Troublesome } from './troublesome.ts'

/** A node on this thread, over a folder that lives as long as the test. */
export async function startInlineNode(overrides: Overrides = {}): Promise<Node> {
  const config = defineCluster({
    name: 'trouble',
    aggregates: [Account, Troublesome],
    dataDir: overrides.dataDir ?? temporaryFolder(),
    shards: 4,
    workers: 'inline',
    onWarning: () => undefined,
    onTellFailed: () => undefined,
  })
  const node = await startNode(config, overrides)
  onTestFinished(() => node.close())
  return node
}
