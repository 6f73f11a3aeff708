/** What befalls nodes, and what operators do with them. */
import { join } from 'node:path'
import type { Chaos } from '../chaos.ts'
import { NODES, type Cluster } from '../cluster.ts'
import type { Torment } from '../torment.ts'
import { Trace } from '../trace.ts'

/** Longer than a lease. */
const STOPPED_MS = 5_000
/** Longer than a thread may hang (twice `timeouts.handlerMs`) and a lease. */
const HUNG_MS = 18_000

export function nodeTorments(
  chaos: Chaos,
  cluster: Cluster,
  { canTrace }: { readonly canTrace: boolean },
): readonly Torment[] {
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
    ...(canTrace ? [diskHangs(chaos, cluster)] : []),
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

/** No sync of a node returns for a while. Its processes live, and Redis hears of it as before. */
function diskHangs(chaos: Chaos, cluster: Cluster): Torment {
  return {
    kind: 'disk of a node hangs',
    isHarmless: false,
    async run(apart) {
      const node = cluster.anyNode()
      apart(node)
      chaos.bank.leave(node)
      const injection = { call: 'fdatasync', at: 'each', fault: `delay_enter=${(2 * HUNG_MS) / 1000}s` } as const
      const output = join(chaos.folder, `hung-${node.pid}.trace`)
      // It serves nobody until all its threads are attached to.
      node.signal('SIGSTOP')
      const trace = await Trace.attach(node, { output, injection, cleanup: chaos.cleanup })
      node.signal('SIGCONT')
      await chaos.wait(HUNG_MS, HUNG_MS + 500)
      trace.detach()
      await trace.ended()
      chaos.bank.serve(node)
    },
  }
}
