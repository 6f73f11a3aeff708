/**
 * Rules of the cluster, each broken on purpose, and those of the log that several nodes lean on. A mutant is put over the
 * real code from outside.
 */
import { Committer } from '../../../src/actor/committer.ts'
import { ShardMoves } from '../../../src/actor/shard-moves.ts'
import { Worker } from '../../../src/actor/worker.ts'
import { Ownership } from '../../../src/cluster/ownership.ts'
import { Reception } from '../../../src/cluster/reception.ts'
import { Router } from '../../../src/cluster/router.ts'
import { Routes } from '../../../src/cluster/routes.ts'
import { Log } from '../../../src/log/log.ts'
import { SHARDS_PATH } from '../../../src/log/path.ts'
import { SimulatedLeases } from '../../../src/testing/simulated-leases.ts'
import { differing, MUTANTS, replace, type Mutant } from '../mutants.ts'

/** The epochs of shards that a log has given up. */
const givenUp = new WeakMap<Log, Map<number, number>>()

const OF_THE_LOG = new Set(['no-fence-check', 'no-fence', 'read-without-fence-check', 'adopt-without-carrying'])

export const CLUSTER_MUTANTS: readonly Mutant[] = [
  ...MUTANTS.filter(({ name }) => OF_THE_LOG.has(name)),
  {
    name: 'lease-instead-of-claim',
    breaks: 'whoever was granted a shard and has claimed it takes no notice of later claims (I1)',
    wrapStorage(storage) {
      const own = new Map<string, Set<string>>()
      return differing(storage, {
        async createExclusive(path, content) {
          const isMade = await storage.createExclusive(path, content)
          const at = path.lastIndexOf('/')
          const folder = path.slice(0, at)
          if (isMade && folder.startsWith(`${SHARDS_PATH}/`)) {
            own.set(folder, (own.get(folder) ?? new Set()).add(path.slice(at + 1)))
          }
          return isMade
        },
        async list(path) {
          const names = await storage.list(path)
          const known = own.get(path)
          return known === undefined ? names : names.filter((name) => known.has(name))
        },
      })
    },
  },
  {
    name: 'hand-off-without-batch',
    breaks: 'a shard is given up while its last batch is written, whose replies go all the same (I2)',
    install() {
      const undoQuiet = replace(
        ShardMoves.prototype,
        'release',
        (original) =>
          function (this: ShardMoves, shards) {
            return original.call(this, shards, 0)
          },
      )
      const undoRelease = replace(
        Log.prototype,
        'release',
        (original) =>
          function (this: Log, shards) {
            const epochs = givenUp.get(this) ?? new Map<number, number>()
            for (const shard of shards) epochs.set(shard, this.epochOf(shard))
            givenUp.set(this, epochs)
            original.call(this, shards)
          },
      )
      const undoEpoch = replace(
        Log.prototype,
        'epochOf',
        (original) =>
          function (this: Log, shard) {
            return original.call(this, shard) || (givenUp.get(this)?.get(shard) ?? 0)
          },
      )
      return () => {
        undoEpoch()
        undoRelease()
        undoQuiet()
      }
    },
  },
  {
    name: 'router-forgets-ids',
    breaks: 'what is sent again counts as new (I5)',
    install: () =>
      replace(
        Worker.prototype,
        'receive',
        (original) =>
          function (this: Worker, sender, messages) {
            const forget = (message: (typeof messages)[number]): typeof message =>
              message.kind === 'command' && message.isAgain ? { ...message, isFresh: true } : message
            original.call(this, sender, messages.map(forget))
          },
      ),
  },
  {
    name: 'epoch-not-compared',
    breaks: 'a message counts in whatever epoch it arrives (I5)',
    install: () =>
      replace(
        Worker.prototype,
        'receive',
        (original) =>
          function (this: Worker, sender, messages) {
            original.call(
              this,
              sender,
              messages.map((message) => ({ ...message, epoch: 0 })),
            )
          },
      ),
  },
  {
    name: 'older-connection-still-read',
    breaks: 'a caller that calls again does not end its connection before (I5)',
    install() {
      let calls = 0
      return replace(
        Reception.prototype,
        'accept',
        (original) =>
          function (this: Reception, connection) {
            const member = `${connection.peer.member}-${(calls += 1)}`
            original.call(this, Object.assign(connection, { peer: { ...connection.peer, member } }))
          },
      )
    },
  },
  {
    name: 'elsewhere-is-dropped',
    breaks: 'what an owner does not take is not sent to the next one',
    install: () => replace(Routes.prototype, 'bounce', () => () => undefined),
  },
  {
    name: 'lost-is-not-heard',
    breaks: 'a node does not hear that it has lost a shard, and never claims it again',
    install: () => replace(Ownership.prototype, 'lost', () => () => undefined),
  },
  {
    name: 'nothing-is-looked-for',
    breaks: 'a worker that nobody asks never looks whether its shards were claimed',
    install: () => replace(Committer.prototype, 'look', () => () => true),
  },
  {
    name: 'leaves-without-a-word',
    breaks: 'a node that has ended keeps its leases until they run out',
    install: () =>
      replace(
        SimulatedLeases.prototype,
        'connect',
        (original) =>
          function (this: SimulatedLeases, place, thread) {
            return { ...original.call(this, place, thread), leave: () => Promise.resolve() }
          },
      ),
  },
  {
    name: 'causes-stay-at-home',
    breaks: 'a router does not tell owners what it has seen (I6)',
    install: () =>
      replace(
        Router.prototype,
        'send',
        (original) =>
          function (this: Router, shard, message, outcome, options) {
            original.call(this, shard, message, outcome, options)
            if (message.kind === 'command') message.after = 0
          },
      ),
  },
]
