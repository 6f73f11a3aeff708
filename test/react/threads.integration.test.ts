import { expect, onTestFinished, test, vi } from 'vitest'
import type { RefHost } from '../../src/cluster/ref.ts'
import { connect, startNode, type Client, type Node, type Overrides } from '../../src/index.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { Counter, gate, Order } from './threads.config.ts'

const CONFIG = new URL('threads.config.ts', import.meta.url)
const IDS = Array.from({ length: 24 }, (_, i) => `o${i}`)
const WAIT = { timeout: 30_000, interval: 20 }

async function start(overrides: Overrides = {}): Promise<Node> {
  const node = await startNode(CONFIG, { dataDir: temporaryFolder(), ...overrides })
  onTestFinished(() => node.close())
  return node
}

/** Ids of counters, of which the first belongs to another worker than the second. */
async function apart(node: Node): Promise<readonly [string, string]> {
  const [one] = (await node.status()).workers
  const ofFirst = new Set(one!.shards.map(({ shard }) => shard))
  const host = node as unknown as RefHost
  const ids = Array.from({ length: 64 }, (_, id) => String(id))
  const isFirst = (id: string): boolean => ofFirst.has(host.shardOf(`counter/${id}`))
  return [ids.find(isFirst)!, ids.find((id) => !isFirst(id))!]
}

test('what a handler sends after it has heard of something comes behind that, whichever workers do it (I6)', async () => {
  const node = await start()
  const [ahead, behind] = await apart(node)
  const positionOf = async (id: string): Promise<number> => {
    const events = await Array.fromAsync(node.store.load(`counter/${id}`))
    return events.at(-1)?.position ?? 0
  }
  gate.pass = async () => {
    // From here on the positions that the first worker gives are an hour ahead of the other's.
    const host = node as unknown as RefHost
    host.observe((await positionOf(`from-${ahead}-${behind}`)) + 3_600_000 * 4_096)
    await node.ref(Counter, ahead).ask('count', { by: 1 })
  }
  await node.ref(Counter, `from-${ahead}-${behind}`).ask('count', { by: 1 })
  await expect.poll(() => positionOf(behind)).toBeGreaterThan(0)
  expect(await positionOf(behind)).toBeGreaterThan(await positionOf(ahead))
})

/** Whoever asks finds what the reactor has done, once there is a reply. */
async function expectStock(at: Pick<Client, 'ref'>, placed: number): Promise<void> {
  const orders = IDS.map(async (id) => {
    const { unsettled } = await at.ref(Order, id).ask('place', { amount: 2 })
    expect(unsettled, id).toBe(undefined)
    expect(await at.ref(Counter, id).query('sum'), id).toBe(-2 * placed)
  })
  await Promise.all(orders)
}

test('replies of workers on threads wait for synchronous reactors', async () => {
  const node = await start()
  for (const placed of [1, 2, 3]) await expectStock(node, placed)
  const { version, unsettled } = await node.ref(Order, 'much').ask('place', { amount: 1_000 })
  expect([version, unsettled]).toEqual([1, [{ reactor: 'stock', state: 'failed', reason: 'Error: nothing is left' }]])
})

test.skipIf(!hasRedis)('and so do replies to another node, and to a client', { timeout: 120_000 }, async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const shared = { dataDir: temporaryFolder(), redis: redis.url }
  const first = await start({ ...shared, nodeName: 'first' })
  const second = await start({ ...shared, nodeName: 'second' })
  await vi.waitFor(async () => {
    for (const node of [first, second]) {
      const { workers } = await node.status()
      expect(workers.flatMap((worker) => worker?.shards ?? [])).toHaveLength(4)
    }
  }, WAIT)
  await using client = await connect(CONFIG, shared)
  for (const [i, at] of [first, second, client].entries()) await expectStock(at, i + 1)
  const much = IDS.map((id) => first.ref(Order, `much-${id}`).ask('place', { amount: 1_000 }))
  const failed = [{ reactor: 'stock', state: 'failed', reason: 'Error: nothing is left' }]
  for (const { unsettled } of await Promise.all(much)) expect(unsettled).toEqual(failed)

  // While shards move, whoever has an accepted reply has it, settled or not.
  let isOver = false
  const states = new Set<unknown>()
  const load = IDS.map(async (id) => {
    for (let version = 4; !isOver; version += 1) {
      const reply = await first.ref(Order, id).ask('place', { amount: 2 })
      expect(reply).toMatchObject({ version })
      if (reply.unsettled === undefined) expect(await first.ref(Counter, id).query('sum')).toBe(-2 * version)
      for (const { state } of reply.unsettled ?? []) states.add(state)
    }
  })
  const loaded = Promise.all(load)
  await second.close()
  isOver = true
  await loaded
  expect([...states].filter((state) => state !== 'pending')).toEqual([])
  for (const id of IDS) {
    const { version } = await first.ref(Order, id).ask('place', { amount: 2 })
    await expect.poll(() => first.ref(Counter, id).query('sum')).toBe(-2 * version)
  }
})
