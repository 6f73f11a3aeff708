/** What befalls nodes, and what operators do with them. */
import type { Chaos } from '../chaos.ts'
import { NODES, type Cluster } from '../cluster.ts'
import type { Torment } from '../torment.ts'

/** Longer than a lease. */
const STOPPED_MS = 5_000

export function nodeTorments(chaos: Chaos, cluster: Cluster): readonly Torment[] {
  return [
    {
      kind: 'node killed',
      isHarmless: false,
      async run() {
        await cluster.anyNode().kill()
        await chaos.wait(0, 4_500)
        await cluster.startNode()
      },
    },
    {
      kind: 'node stopped, and goes on',
      isHarmless: false,
      async run(apart) {
        const node = cluster.anyNode()
        apart(node)
        node.signal('SIGSTOP')
        chaos.bank.leave(node)
        await chaos.wait(STOPPED_MS, STOPPED_MS + 500)
        node.signal('SIGCONT')
        chaos.bank.serve(node)
      },
    },
    {
      kind: 'node closed',
      isHarmless: true,
      run: () => cluster.closeNode(cluster.anyNode()),
    },
    {
      kind: 'node joined',
      isHarmless: true,
      run: () => cluster.startNode(),
    },
    {
      kind: 'rolling restart',
      isHarmless: true,
      async run() {
        const isRoom = chaos.random.chance(0.5)
        for (const node of cluster.all.slice(0, NODES)) {
          if (isRoom) await cluster.startNode()
          await cluster.closeNode(node)
          if (!isRoom) await cluster.startNode()
        }
      },
    },
  ]
}
