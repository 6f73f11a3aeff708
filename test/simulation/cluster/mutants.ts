/**
 * Rules of the cluster, each broken on purpose, and those of the log that several nodes lean on. A mutant is put over the
 * real code from outside.
 */
import { ShardMoves } from '../../../src/actor/shard-moves.ts'
import { Tails } from '../../../src/actor/tails.ts'
import { Worker } from '../../../src/actor/worker.ts'
import { Directory } from '../../../src/cluster/directory.ts'
import { Ownership } from '../../../src/cluster/ownership.ts'
import { Reception } from '../../../src/cluster/reception.ts'
import { Router } from '../../../src/cluster/router.ts'
import { Routes } from '../../../src/cluster/routes.ts'
import { Log } from '../../../src/log/log.ts'
import { SHARDS_PATH } from '../../../src/log/path.ts'
import { POSITION_MAX } from '../../../src/log/position.ts'
import { sliceOf } from '../../../src/log/slice.ts'
import { ClusterSide } from '../../../src/node/cluster-side.ts'
import type { WorkerHandle } from '../../../src/node/worker-handle.ts'
import { Frontiers } from '../../../src/read/frontiers.ts'
import { ShardReigns } from '../../../src/read/shard-reigns.ts'
import { SimulatedLeases } from '../../../src/testing/simulated-leases.ts'
import { differing, MUTANTS, replace, type Mutant } from '../mutants.ts'

/** The epochs of shards that a log has given up. */
const givenUp = new WeakMap<Log, Map<number, number>>()

/** The workers of each node that is one of several, by the node's id. */
const sides = new Map<string, { readonly side: ClusterSide; readonly workers: Map<number, WorkerHandle | undefined> }>()

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
            const forget = (message: (typeof messages)[number]): typeof message => {
              if (message.kind !== 'command' || !message.isAgain) return message
              const { bytes, start, end } = message.commandId
              return {
                ...message,
                isFresh: true,
                commandId: sliceOf(Uint8Array.from(bytes.subarray(start, end)).reverse()),
              }
            }
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
  {
    name: 'moves-without-waiting',
    breaks: 'messages go to the next owner while the owner before still has some (order)',
    install: () =>
      replace(
        Routes.prototype,
        'route',
        (original) =>
          function (this: Routes, shard) {
            const route = original.call(this, shard)
            return Object.defineProperty(route, 'abroad', { get: () => 0, set() {}, configurable: true })
          },
      ),
  },
  {
    name: 'under-way-is-lost',
    breaks: 'what was under way to an owner that is away is not sent again',
    install: () =>
      replace(
        Routes.prototype,
        'detach',
        (original) =>
          function (this: Routes, owner) {
            original.call(this, owner, [])
          },
      ),
  },
  {
    name: 'directory-without-epochs',
    breaks: 'whoever spoke last counts as the owner',
    install: () =>
      replace(
        Directory.prototype,
        'learn',
        (original) =>
          function (this: Directory, shard, owner, epoch) {
            original.call(this, shard, owner, Math.min(epoch, 1))
          },
      ),
  },
  {
    name: 'away-is-lost',
    breaks: 'a node that does not reach the lease store gives up all it serves',
    install() {
      const undoWorkers = replace(
        ClusterSide.prototype,
        'setWorker',
        (original) =>
          function (this: ClusterSide, worker, handle) {
            const id = this.member.id
            const known = sides.get(id) ?? { side: this, workers: new Map() }
            sides.set(id, known)
            known.workers.set(worker, handle)
            original.call(this, worker, handle)
          },
      )
      const undoBeats = replace(
        SimulatedLeases.prototype,
        'connect',
        (original) =>
          function (this: SimulatedLeases, place, thread) {
            const leases = original.call(this, place, thread)
            return {
              ...leases,
              beat: (beat) =>
                leases.beat(beat).catch((error: unknown) => {
                  const known = sides.get(beat.member.id)
                  for (const { shard, worker } of beat.hold) {
                    known?.side.lost(worker, [shard])
                    void known?.workers.get(worker)?.release([shard], 0)
                  }
                  throw error
                }),
            }
          },
      )
      return () => {
        undoBeats()
        undoWorkers()
        sides.clear()
      }
    },
  },
  {
    name: 'watermark-ignored',
    breaks: 'readers go on to the furthest that any worker has written (I4)',
    install: () =>
      replace(
        Frontiers.prototype,
        'beyond',
        (original) =>
          async function (this: Frontiers, position, signal) {
            const frontier = await original.call(this, position, signal)
            return frontier && { ...frontier, position: POSITION_MAX }
          },
      ),
  },
  {
    name: 'promise-without-mark',
    breaks: 'a worker that has nothing to write promises by word of mouth alone (I4)',
    install: () =>
      replace(
        Tails.prototype,
        'above',
        () =>
          async function (this: Tails, position) {
            const tail = await this.next(undefined, 0)
            return { ...tail, position: Math.max(tail.position, position) }
          },
      ),
  },
  {
    name: 'former-owners-forgotten',
    breaks: 'readers read the journals of those who own shards now, and of nobody before (I4)',
    install: () =>
      replace(
        ShardReigns.prototype,
        'set',
        (original) =>
          function (this: ShardReigns, shard, reigns) {
            original.call(this, shard, reigns.slice(-1))
          },
      ),
  },
]
