/** Ways that are cut for longer than a lease: what is sent over them vanishes, and nobody is told. */
import type { Chaos } from '../chaos.ts'
import type { Cluster } from '../cluster.ts'
import type { Heal, Lan, Place } from '../lan.ts'
import type { NodeProcess } from '../node.ts'
import type { Torment } from '../torment.ts'

const CUT_MS_MIN = 4_000
const CUT_MS_MAX = 7_000

/** The directions that are cut, and the nodes that this keeps from others. */
interface Cut {
  readonly ways: readonly (readonly [from: Place, to: Place])[]
  readonly apart: readonly NodeProcess[]
}

export function partitionTorments(chaos: Chaos, cluster: Cluster, lan: Lan): readonly Torment[] {
  const redis = cluster.redisPlace!
  const postgres = cluster.postgresPlace!
  const broker = cluster.brokerPlace!
  const at = (node: NodeProcess): Place => cluster.placeOf(node)!
  const others = (node: NodeProcess): NodeProcess[] => cluster.all.filter((each) => each !== node)
  const pair = (): [NodeProcess, NodeProcess] => {
    const one = cluster.anyNode()
    return [one, others(one)[chaos.random.below(cluster.all.length - 1)]!]
  }
  const torment = (kind: string, choose: () => Cut): Torment => ({
    kind,
    isHarmless: false,
    async run(tellApart) {
      const { ways, apart } = choose()
      tellApart(...apart)
      const heals = ways.map(([from, to]): Heal => lan.cut({ from, to }))
      await chaos.wait(CUT_MS_MIN, CUT_MS_MAX)
      for (const heal of heals) heal()
    },
  })
  return [
    torment('node | node', () => {
      const [one, other] = pair()
      return { ways: bothWays(at(one), at(other)), apart: [one, other] }
    }),
    torment('node → node cut', () => {
      const [one, other] = pair()
      return { ways: [[at(one), at(other)]], apart: [one, other] }
    }),
    torment('node | all nodes', () => {
      const one = cluster.anyNode()
      return { ways: others(one).flatMap((other) => bothWays(at(one), at(other))), apart: cluster.all }
    }),
    torment('node | Redis', () => ({ ways: bothWays(at(cluster.anyNode()), redis), apart: [] })),
    torment('node → Redis cut', () => ({ ways: [[at(cluster.anyNode()), redis]], apart: [] })),
    torment('Redis → node cut', () => ({ ways: [[redis, at(cluster.anyNode())]], apart: [] })),
    // Callers of aggregates have nothing to do with it.
    ...(cluster.postgres === undefined
      ? []
      : [
          {
            ...torment('node | PostgreSQL', () => ({ ways: bothWays(at(cluster.anyNode()), postgres), apart: [] })),
            isHarmless: true,
          },
        ]),
    ...(cluster.broker === undefined
      ? []
      : [
          {
            ...torment('node | broker', () => ({ ways: bothWays(at(cluster.anyNode()), broker), apart: [] })),
            isHarmless: true,
          },
        ]),
    torment('node | everything', () => {
      const one = cluster.anyNode()
      return {
        ways: [redis, postgres, broker, ...others(one).map(at)].flatMap((place) => bothWays(at(one), place)),
        apart: [one],
      }
    }),
  ]
}

function bothWays(one: Place, other: Place): [Place, Place][] {
  return [
    [one, other],
    [other, one],
  ]
}
