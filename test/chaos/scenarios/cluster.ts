/**
 * Three nodes over one directory, each in a network of its own, with callers at each of them, and in each cycle one
 * misfortune, or two at once: of nodes, of Redis, of the read models' PostgreSQL, of the Redis that takes messages, of the ways
 * between them, of clocks.
 */
import { hasPostgres } from '../../postgres-server.ts'
import { Cluster } from '../cluster.ts'
import type { Chaos } from '../chaos.ts'
import { lanProblem, missing } from '../requirement.ts'
import type { Scenario } from '../scenario.ts'
import { both, isPair, type Torment } from '../torment.ts'
import { brokerTorments } from '../torments/broker.ts'
import { clockTorments } from '../torments/clocks.ts'
import { nodeTorments } from '../torments/nodes.ts'
import { partitionTorments } from '../torments/partitions.ts'
import { postgresTorments } from '../torments/postgres.ts'
import { redisTorments } from '../torments/redis.ts'

const CYCLES_PER_CHECK = 8
/** Enough for each shard to be asked every few milliseconds, and little enough to leave a small machine idle. */
const RATE = 400
const PAIRS_PER_DECK = 3

export const cluster: Scenario = {
  name: 'cluster',
  about:
    'three nodes with projections and reactors, two Redis and a PostgreSQL: killed, stopped, restarted, emptied, cut off, clocks moved, two at once',
  requirements: ['linux', 'redis'],
  cycles: 100,
  rate: RATE,
  async run(chaos) {
    const problem = lanProblem()
    if (problem !== undefined) chaos.leaveOut(`partitions, as ${problem}`)
    const untraceable = missing(['tracing'])
    if (untraceable !== undefined) chaos.leaveOut(`disks that hang, as ${untraceable}`)
    const canTrace = untraceable === undefined
    if (!chaos.projects) chaos.leaveOut('projections, as it was told to')
    else if (!hasPostgres) chaos.leaveOut('projections, as there is no PostgreSQL to start')
    if (!chaos.reacts) chaos.leaveOut('reactors and their like, as it was told to')
    const bank = await Cluster.start(chaos, { hasLan: problem === undefined })
    let deck: Torment[] = []
    try {
      while (chaos.figures.cycles < chaos.cycles) {
        if (deck.length === 0) deck = shuffle(chaos, bank, { canTrace })
        const torment = deck.pop()!
        await bank.restore()
        // What befalls it while it still recovers from the last fault is one of those that come two at once.
        if (!isPair(torment)) await bank.rest()
        await chaos.wait(0, 500)
        await bank.suffer(torment)
        await chaos.turn(bank.dataDir, CYCLES_PER_CHECK)
      }
    } finally {
      await bank.stop()
    }
  },
}

/** Each kind once, and some pairs: of one that befalls a node, and one that befalls Redis or a way. */
function shuffle(chaos: Chaos, bank: Cluster, means: { readonly canTrace: boolean }): Torment[] {
  const ofNodes = nodeTorments(chaos, bank, means)
  const ofClocks = clockTorments(chaos, bank)
  const ofOthers = [
    ...redisTorments(chaos, bank),
    ...(bank.postgres === undefined ? [] : postgresTorments(chaos, bank.postgres)),
    ...(bank.broker === undefined ? [] : brokerTorments(chaos, bank.broker)),
    ...(bank.lan === undefined ? [] : partitionTorments(chaos, bank, bank.lan)),
  ]
  const pairs = Array.from({ length: PAIRS_PER_DECK }, () => both(draw(chaos, ofNodes), draw(chaos, ofOthers)))
  const deck = [...ofNodes, ...ofClocks, ...ofOthers, ...pairs]
  return chaos.shuffled(chaos.chosen(deck))
}

function draw<Item>(chaos: Chaos, items: readonly Item[]): Item {
  return items[chaos.random.below(items.length)]!
}
