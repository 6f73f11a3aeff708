import { expect, test } from 'vitest'
import { encodeControl } from '../../src/cluster/control.ts'
import type { Beat, Leases, Member, View } from '../../src/cluster/leases.ts'
import { createLinkPair } from '../../src/cluster/link.ts'
import type { Connection, Network } from '../../src/cluster/network.ts'
import { Router } from '../../src/cluster/router.ts'
import { ClusterSide } from '../../src/node/cluster-side.ts'
import type { WorkerHandle } from '../../src/node/worker-handle.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const SHARDS = 4
const TTL = 3_000
const BEAT = TTL / 3
const OTHER: Member = { id: 'b', name: 'b', address: 'b:1', workers: 1, weight: 1, protocol: 1, state: 'up' }

/** The side of a node that serves all shards, over a store that shows it these others. */
async function startSide(refusing: readonly number[] = []) {
  const clock = new SimulatedClock()
  const store: { others: readonly Member[]; isSettling: boolean } = { others: [], isSettling: false }
  let open = 0
  const released: number[] = []
  const taken: number[] = []
  const gates = { beat: Promise.resolve(), release: Promise.resolve(), takeOver: Promise.resolve() }
  const refused = new Set(refusing)
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const leases: Leases = {
    beat: async ({ cluster, member, hold, want }: Beat): Promise<View> => {
      await gates.beat
      const mine = [...hold, ...want.map((shard) => ({ ...shard, epoch: 0 }))]
      const granted = mine.map((lease) => ({ ...lease, member: member.id, remainingMs: TTL }))
      return { cluster, members: [member, ...store.others], leases: granted, isSettling: store.isSettling }
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
      const connection: Partial<Connection> = {
        peer: { ...greeting, member: address.slice(0, 1) },
        send: () => undefined,
        onDrain: () => undefined,
        onFrame: () => undefined,
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
      return shards.filter((shard) => !refused.has(shard)).map((shard) => ({ shard, epoch: 1, seq: 0 }))
    },
    prepareRelease: async () => undefined,
    release: async (shards) => {
      await gates.release
      released.push(...shards)
    },
  }
  const onBadFrame = (): void => undefined
  const identity = { format: 1, name: 'side', clusterId: 'cluster', shards: SHARDS }
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
    },
    identity,
    workers: 1,
    clock,
    router: new Router({ clock, shards: SHARDS, underWayMax: 100, timeoutMs: 1_000, onBadFrame }),
    onWarning: () => undefined,
  })
  await side.listen()
  side.setWorker(0, worker as WorkerHandle)
  await side.join()
  const beat = async (): Promise<void> => {
    clock.advance(BEAT)
    await turn()
  }
  return { side, store, gates, refused, turn, beat, taken, released, handed, open: () => open }
}

test('a node that has just joined is given nothing before all others must have heard of it', async () => {
  const { store, beat, released } = await startSide()
  store.others = [OTHER]
  for (let beats = 0; beats < 2; beats += 1) {
    await beat()
    expect(released).toEqual([])
  }
  await beat()
  expect(released).toHaveLength(SHARDS / 2)
})

test('a store that has forgotten everybody costs no connection between nodes', async () => {
  const { store, beat, open } = await startSide()
  store.others = [OTHER]
  await beat()
  expect(open()).toBe(2)
  Object.assign(store, { others: [], isSettling: true })
  await beat()
  expect(open()).toBe(2)
  store.isSettling = false
  await beat()
  expect(open()).toBe(0)
})

test('a shard that was given up is not claimed back because the store was slow to hear of it', async () => {
  const { store, gates, turn, beat, taken, released } = await startSide()
  const [release, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  store.others = [OTHER]
  gates.release = release.promise
  for (let beats = 0; beats < 3; beats += 1) await beat()
  // A beat is under way that says these shards are held, and meanwhile they are given up.
  gates.beat = answer.promise
  await beat()
  release.resolve()
  await turn()
  expect(released).toHaveLength(SHARDS / 2)
  taken.length = 0
  answer.resolve()
  await turn()
  expect(taken).toEqual([])
})

test('a shard that could not be claimed is tried again while the store is away', async () => {
  const { gates, refused, beat, taken } = await startSide([0])
  expect(taken.filter((shard) => shard === 0)).toHaveLength(1)
  gates.beat = Promise.reject(new Error('away'))
  gates.beat.catch(() => undefined)
  refused.clear()
  await beat()
  await beat()
  expect(taken.filter((shard) => shard === 0)).toHaveLength(2)
})

test('what is handed to a node that drains is taken and handed on', async () => {
  const { side, store, gates, turn, beat, handed, released } = await startSide()
  store.others = [OTHER]
  for (let beats = 0; beats < 3; beats += 1) await beat()
  const [release, claim] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  gates.release = release.promise
  gates.takeOver = claim.promise
  const [given] = released
  let isDone = false
  const drained = side.drain(60_000).then(() => (isDone = true))
  await turn()
  handed(given!)
  release.resolve()
  await turn()
  expect(released).toHaveLength(SHARDS)
  expect(isDone).toBe(false)
  claim.resolve()
  await turn()
  await beat()
  await drained
  expect(released.filter((shard) => shard === given)).toHaveLength(2)
})
