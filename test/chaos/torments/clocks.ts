/** Wall clocks that are set, forward or back by seconds, minutes or hours. */
import { moveRedisClock } from '../../redis-clock.ts'
import type { Chaos } from '../chaos.ts'
import { CLUSTER_NAME, type Cluster } from '../cluster.ts'
import type { Torment } from '../torment.ts'

const SPANS_MS = [1_000, 60_000, 600_000, 7_200_000]

export function clockTorments(chaos: Chaos, cluster: Cluster): readonly Torment[] {
  const span = (): number => SPANS_MS[chaos.random.below(SPANS_MS.length)]! * (chaos.random.chance(0.5) ? 1 : -1)
  return [
    {
      kind: "node's clock moved",
      isHarmless: true,
      async run() {
        const node = cluster.anyNode()
        chaos.clocks.move(node, span())
        // Who starts meanwhile asks how things stand of whom has that clock.
        await (chaos.random.chance(0.5) ? cluster.startNode() : chaos.wait(500, 2_500))
        // Or it goes on with it.
        if (chaos.random.chance(0.5)) chaos.clocks.move(node, 0)
      },
    },
    {
      kind: "Redis' clock moved",
      isHarmless: true,
      run: () => moveRedisClock(cluster.redis.admin, CLUSTER_NAME, span()),
    },
  ]
}
