/**
 * Three nodes over one directory, with callers in each of them, and in each cycle one misfortune, or two at once: nodes are
 * killed, stopped for longer than a lease, closed and replaced; Redis is stopped, lost with all it knew, or flushed.
 */
import { Cluster, NODES, type Torment } from '../cluster.ts'
import type { Chaos } from '../chaos.ts'
import type { Scenario } from '../scenario.ts'

const CYCLES_PER_CHECK = 8
/** Longer than a lease. */
const STOPPED_MS = 5_000

export const cluster: Scenario = {
  name: 'cluster',
  about: 'three nodes and a Redis: killed, stopped for longer than a lease, flushed, replaced, two at once',
  requirements: ['linux', 'redis'],
  cycles: 100,
  async run(chaos) {
    const bank = await Cluster.start(chaos)
    try {
      while (chaos.figures.cycles < chaos.cycles) {
        await bank.restore()
        await chaos.wait(0, 1_500)
        await bank.suffer(draw(chaos, bank))
        await chaos.turn(bank.dataDir, CYCLES_PER_CHECK)
      }
    } finally {
      await bank.stop()
    }
  },
}

/** Those of nodes, and those of Redis; with two at once it is one of each. */
function draw(chaos: Chaos, nodes: Cluster): Torment {
  const ofNodes = nodeTorments(chaos, nodes)
  const ofRedis = redisTorments(chaos, nodes)
  const one = ofNodes[chaos.random.below(ofNodes.length)]!
  const other = ofRedis[chaos.random.below(ofRedis.length)]!
  if (chaos.random.chance(0.2)) return both(one, other)
  return chaos.random.chance(0.5) ? one : other
}

function both(one: Torment, other: Torment): Torment {
  return {
    kind: `${one.kind} + ${other.kind}`,
    isHarmless: false,
    run: () => Promise.all([one.run(), other.run()]),
  }
}

function nodeTorments(chaos: Chaos, nodes: Cluster): readonly Torment[] {
  return [
    {
      kind: 'node killed',
      isHarmless: false,
      async run() {
        await nodes.anyNode().kill()
        await chaos.wait(0, 4_500)
        await nodes.startNode()
      },
    },
    {
      kind: 'node stopped',
      isHarmless: false,
      async run() {
        const node = nodes.anyNode()
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
      async run() {
        const node = nodes.anyNode()
        nodes.take(node)
        await node.close()
      },
    },
    {
      kind: 'node joined',
      isHarmless: true,
      run: () => nodes.startNode(),
    },
    {
      kind: 'rolling restart',
      isHarmless: true,
      async run() {
        for (const node of nodes.all.slice(0, NODES)) {
          await nodes.startNode()
          nodes.take(node)
          await node.close()
        }
      },
    },
  ]
}

function redisTorments(chaos: Chaos, { redis }: Cluster): readonly Torment[] {
  return [
    {
      kind: 'redis stopped',
      isHarmless: true,
      async run() {
        redis.pause()
        await chaos.wait(1_000, 6_000)
        redis.resume()
      },
    },
    {
      kind: 'redis lost',
      isHarmless: true,
      async run() {
        await redis.kill()
        await chaos.wait(0, 5_000)
        await redis.restart()
      },
    },
    {
      kind: 'redis flushed',
      isHarmless: true,
      run: () => redis.admin.flushall(),
    },
  ]
}
