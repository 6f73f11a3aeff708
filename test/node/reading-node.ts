/** A node for tests of reading, of one thread and small segments. */
import { onTestFinished } from 'vitest'
import { defineAggregate, defineCluster, startNode, type Aggregate, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

export const Counter = defineAggregate({
  type: 'counter',
  initialState: () => 0,
  events: { Added: (sum, { by }: { by: number }) => sum + by, Reset: () => 0 },
  commands: {
    add: (_sum, { by }: { by: number }, { emit }) => emit.Added({ by }),
    reset: (_sum, _none, { emit }) => emit.Reset(undefined),
  },
  renamedEvents: { Increased: 'Added' },
})

/** A node with these aggregates on one thread. */
export async function start(
  folder = temporaryFolder(),
  aggregates: readonly Aggregate[] = [Account, Counter],
): Promise<Node> {
  const options = {
    name: 'reading',
    aggregates,
    dataDir: folder,
    workers: 'inline',
    shards: 4,
  } as const
  const node = await startNode(defineCluster({ ...options, segmentBytes: 64 * 1024, onWarning: () => undefined }))
  onTestFinished(() => node.close())
  return node
}

export const all = <Event>(events: AsyncIterable<Event>): Promise<Event[]> => Array.fromAsync(events)
