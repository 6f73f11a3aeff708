import { expect } from 'vitest'
import { encodeControl } from '../../src/cluster/control.ts'
import { leasesUnavailable, type Beat, type Leases, type Member, type View } from '../../src/cluster/leases.ts'
import { createLinkPair } from '../../src/cluster/link.ts'
import type { Connection, Network } from '../../src/cluster/network.ts'
import { Router } from '../../src/cluster/router.ts'
import { ClusterSide } from '../../src/node/cluster-side.ts'
import type { WorkerHandle } from '../../src/node/worker-handle.ts'
import type { WorkerStatus } from '../../src/node/worker-host.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

export const SHARDS = 4
export const TTL = 3_000
export const BEAT = TTL / 3
const BEATS_REST_MS = 100
export const OTHER: Member = { id: 'b', name: 'b', address: 'b:1', workers: 1, weight: 1, protocol: 1, state: 'up' }

/** The side of a node that serves all shards, over a store that shows it others; told to drain before it joins those given. */
export async function startSide(refusing: readonly number[] = [], others: readonly Member[] = []) {
  const clock = new SimulatedClock()
  const store = { others, time: undefined as number | undefined, isSettling: false, isAway: false, answers: false }
  const [beats, warnings]: [Beat[], string[]] = [[], []]
  let open = 0
  const [released, taken]: [number[], number[]] = [[], []]
  const gates = { beat: Promise.resolve(), release: Promise.resolve(), takeOver: Promise.resolve() }
  const refused = new Set(refusing)
  /** What a worker that refuses a shard gives for its reason; undefined for none. */
  const why = { code: undefined as string | undefined, isDamaged: false }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    await turn()
  }
  const leases: Leases = {
    beat: async (told: Beat): Promise<View> => {
      const { cluster, member, hold, want } = told
      beats.push(told)
      await gates.beat
      if (store.isAway) throw leasesUnavailable('it is away', 'redis:6379')
      const mine = [...hold, ...want.map((shard) => ({ ...shard, epoch: 0 }))]
      const granted = mine.map((lease) => ({ ...lease, member: member.id, remainingMs: TTL }))
      const { time = clock.now(), isSettling } = store
      return { cluster, time, members: [member, ...store.others], leases: granted, isSettling }
    },
    look: async () => undefined,
    leave: async () => undefined,
    close: async () => undefined,
  }
  let call = (): void => undefined
  let tell = (_frame: Uint8Array<ArrayBuffer>): void => undefined
  /** The other node says that it has given a shard up for this one. */
  const handed = (shard: number): void => {
    call()
    tell(new Uint8Array(encodeControl({ kind: 'handed', shards: [{ shard, worker: 0 }] })))
  }
  /** An operator wants the node to give up its shards. */
  const tellToDrain = (): void => {
    call()
    tell(new Uint8Array(encodeControl({ kind: 'drain' })))
  }
  const network: Network = {
    listen: async (_, greeting, onConnection) => {
      call = () => {
        const told: Partial<Connection> = {
          peer: { ...greeting(), purpose: 'control', member: OTHER.id },
          send: () => undefined,
          onFrame: (receive) => (tell = receive),
          onClose: () => undefined,
        }
        onConnection(told as Connection)
      }
      return { address: 'a:1', close: async () => undefined }
    },
    connect: async (address, greeting) => {
      open += 1
      let answer = (_frame: Uint8Array<ArrayBuffer>): void => undefined
      const connection: Partial<Connection> = {
        peer: { ...greeting, member: address.slice(0, 1) },
        send: () => {
          if (store.answers) answer(Uint8Array.from(encodeControl({ kind: 'pong' })))
        },
        onDrain: () => undefined,
        onFrame: (receive) => (answer = receive),
        onClose: () => undefined,
        close: () => void (open -= 1),
      }
      return connection as Connection
    },
  }
  const worker: Partial<WorkerHandle> = {
    connect: () => createLinkPair(clock)[0],
    takeOver: async (shards) => {
      taken.push(...shards)
      await gates.takeOver
      const served = shards.filter((shard) => !refused.has(shard))
      return served.map((shard) => ({ shard, epoch: 1, seq: 0, undurable: 0 }))
    },
    status: async () => {
      const { code, isDamaged } = why
      const list = code === undefined ? [] : [...refused].map((shard) => ({ shard, code, isDamaged, reason: code }))
      return { refused: list } as unknown as WorkerStatus
    },
    prepareRelease: async () => undefined,
    release: async (shards) => {
      await gates.release
      released.push(...shards)
    },
  }
  const side = new ClusterSide({
    ports: {
      leases,
      network,
      listen: 'a:1',
      advertise: undefined,
      id: 'a',
      name: 'a',
      weight: 1,
      leaseMs: TTL,
      isNew: true,
      shares: () => true,
    },
    identity: { format: 1, name: 'side', clusterId: 'cluster', shards: SHARDS },
    workers: 1,
    clock,
    router: new Router({ clock, shards: SHARDS, underWayMax: 100, timeoutMs: 1_000, onBadFrame: () => undefined }),
    onWarning: (message) => warnings.push(message),
    measure: async () => ({ workers: [], shards: [] }),
    callProjection: async () => undefined,
    openReading: () => expect.fail(),
  })
  await side.listen()
  side.setWorker(0, worker as WorkerHandle)
  if (others.length > 0) tellToDrain()
  const joined = side.join()
  // Those who do not answer are waited for.
  for (let i = 0; i < 10 * others.length; i += 1) await pass(BEAT)
  await joined
  const beat = (): Promise<void> => pass(BEAT)
  /** So long the store is told no more than it was. */
  const rest = (): Promise<void> => pass(BEATS_REST_MS)
  const replace = (isHere: boolean): void => side.setWorker(0, isHere ? (worker as WorkerHandle) : undefined)
  const told = { handed, tellToDrain, replace, turn, rest, beat, beats, open: () => open }
  return { side, clock, store, gates, refused, why, taken, released, warnings, ...told }
}
