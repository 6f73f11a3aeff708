/** A program whose subscription fails, and that does not look. */
import { defineCluster, startNode } from '../../src/index.ts'

const [, , dataDir] = process.argv
const node = await startNode(defineCluster({ name: 'unwatched', aggregates: [], dataDir: dataDir!, workers: 'inline' }))
node.store.subscribe({}, () => {
  throw new Error('the handler cannot')
})
await node.store.append('a/1', [{ type: 'A' }])
// The node keeps the process alive.
