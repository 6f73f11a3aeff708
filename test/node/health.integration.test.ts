import fs from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startNode, type Node, type Overrides } from '../../src/index.ts'
import { Log } from '../../src/log/log.ts'
import { pooled } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { systemClock } from '../../src/platform/system.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { Troublesome } from './troublesome.ts'

const WAIT = { timeout: 30_000, interval: 50 }
const SECRET = 'a secret of thirty-two characters'

interface Told {
  readonly status: number
  readonly body: {
    readonly why: readonly string[]
    readonly phase: string
    readonly workers: readonly { readonly kind: string; readonly shards: number; readonly undurable: object }[]
    readonly redis?: { readonly isAway: boolean; readonly awayMs: number }
    readonly isDraining?: boolean
  }
}

async function start(overrides: Overrides = {}): Promise<Node> {
  const url = new URL('troublesome.config.ts', import.meta.url)
  const health = { listen: '127.0.0.1:0' }
  const node = await startNode(url, { dataDir: temporaryFolder(), health, ...overrides })
  onTestFinished(() => node.close())
  return node
}

async function probe(node: Node | string, what: 'live' | 'ready'): Promise<Told> {
  const address = typeof node === 'string' ? node : (await node.status()).health!
  const answer = await fetch(`http://${address}/health/${what}`)
  return { status: answer.status, body: (await answer.json()) as Told['body'] }
}

describe('a node alone', () => {
  test('answers no probes unless it is told where', async () => {
    const node = await start({ health: {} })
    expect((await node.status()).health).toBeUndefined()
  })

  test('is ready and live while it serves, and says how far each worker is', async () => {
    const node = await start()
    await node.ref(Account, '1').ask('deposit', { amount: 1 })
    const undurable = { records: 0, bytes: 0, oldestMs: 0 }
    const workers = [
      { kind: 'answered', shards: 2, undurable },
      { kind: 'answered', shards: 2, undurable },
    ]
    // A worker that the machine lets wait has not answered.
    await expect
      .poll(() => probe(node, 'ready'), WAIT)
      .toMatchObject({ status: 200, body: { isReady: true, phase: 'serving', workers } })
    expect(await probe(node, 'live')).toMatchObject({ status: 200, body: { isLive: true, why: [] } })
  })

  test('is not ready while a handler holds a worker, is live, and is ready again once that is replaced', async () => {
    const node = await start({ timeouts: { handlerMs: 6_000 } })
    const { health } = await node.status()
    const hung = node.ref(Troublesome, '1').ask('hang')
    hung.catch(() => undefined)
    await expect
      .poll(() => probe(health!, 'ready'), WAIT)
      .toMatchObject({
        status: 503,
        body: { why: [expect.stringContaining('has not answered')] },
      })
    expect(await probe(health!, 'live')).toMatchObject({ status: 200 })
    await expect(hung).rejects.toMatchObject({ code: 'HandlerStuck' })
    await expect.poll(async () => (await probe(health!, 'ready')).status, WAIT).toBe(200)
  })

  test('is not ready and is live while it stops, and answers until it has', async () => {
    const node = await start({ timeouts: { handlerMs: 6_000 } })
    const { health } = await node.status()
    node
      .ref(Troublesome, '1')
      .ask('hang')
      .catch(() => undefined)
    const closed = node.close()
    expect(await probe(health!, 'ready')).toMatchObject({ status: 503, body: { phase: 'stopping' } })
    expect(await probe(health!, 'live')).toMatchObject({ status: 200 })
    await closed
    await expect(probe(health!, 'live')).rejects.toThrow()
  })

  test('is not ready from the moment on that somebody has claimed its shards, whoever notices first', async () => {
    const dataDir = temporaryFolder()
    const node = await start({ dataDir })
    await expect.poll(() => probe(node, 'ready'), WAIT).toMatchObject({ status: 200 })
    const { clusterId } = JSON.parse(fs.readFileSync(join(dataDir, 'cluster.json'), 'utf8')) as { clusterId: string }
    const options = { clock: systemClock, clusterId, shards: 4, own: [3], segmentBytes: 65_536, node: 'other' }
    const log = await Log.open({ storage: new FileStorage(dataDir, pooled), ...options })
    expect(await probe(node, 'ready')).toMatchObject({
      status: 503,
      body: { why: [expect.stringContaining('shard 3')] },
    })
    await log.close()
  })

  test('is not ready once its data directory is not there any more', async () => {
    const folder = temporaryFolder()
    const [dataDir, away] = [join(folder, 'data'), join(folder, 'away')]
    const node = await start({ dataDir })
    fs.renameSync(dataDir, away)
    expect(await probe(node, 'ready')).toMatchObject({ status: 503 })
    // Something of it may be made again meanwhile, and again.
    await expect
      .poll(() => {
        fs.rmSync(dataDir, { recursive: true, force: true })
        fs.renameSync(away, dataDir)
        return fs.existsSync(away)
      }, WAIT)
      .toBe(false)
    await vi.waitFor(async () => expect(await probe(node, 'ready')).toMatchObject({ status: 200 }), WAIT)
  })

  test('does not start where it cannot answer, and gives its data directory back', async () => {
    const first = await start()
    const dataDir = temporaryFolder()
    const taken = { listen: (await first.status()).health! }
    await expect(start({ dataDir, health: taken })).rejects.toThrow(taken.listen)
    await start({ dataDir })
  })
})

describe.skipIf(!hasRedis)('a node of several', { timeout: 120_000 }, () => {
  async function startSeveral(): Promise<{ readonly redis: RedisProcess; readonly nodes: readonly Node[] }> {
    const redis = await startRedis([`requirepass ${SECRET.replaceAll(' ', '-')}`])
    onTestFinished(() => redis.stop())
    const url = redis.url.replace('//', `//:${SECRET.replaceAll(' ', '-')}@`)
    const overrides = {
      dataDir: temporaryFolder(),
      redis: url,
      network: { secrets: [SECRET] },
      timeouts: { leaseMs: 1_500 },
    }
    const nodes = [await start({ ...overrides, nodeName: 'a' }), await start({ ...overrides, nodeName: 'b' })]
    await expect.poll(() => served(nodes), WAIT).toEqual([2, 2])
    return { redis, nodes }
  }

  async function served(nodes: readonly Node[]): Promise<readonly number[]> {
    const all = await Promise.all(nodes.map(async (node) => (await node.status()).workers))
    return all.map((workers) => workers.reduce((sum, worker) => sum + (worker?.shards.length ?? 0), 0))
  }

  test('goes on being ready while Redis is away, for longer than a lease, and says so', async () => {
    const { redis, nodes } = await startSeveral()
    redis.pause()
    for (const node of nodes) {
      const redisAway = { isAway: true, awayMs: expect.toSatisfy((ms: number) => ms > 3_000) as number }
      await expect
        .poll(() => probe(node, 'ready'), WAIT)
        .toMatchObject({ status: 200, body: { why: [], redis: redisAway } })
      expect(await probe(node, 'live')).toMatchObject({ status: 200 })
    }
    redis.resume()
    for (const node of nodes) {
      await expect
        .poll(() => probe(node, 'ready'), WAIT)
        .toMatchObject({ status: 200, body: { redis: { isAway: false } } })
    }
  })

  test('tells whoever probes neither secret nor password', async () => {
    const { nodes } = await startSeveral()
    for (const what of ['live', 'ready'] as const) {
      const told = JSON.stringify(await probe(nodes[0]!, what))
      expect(told).not.toMatch(/secret/i)
    }
  })

  test('is not ready while it hands its shards over to leave', async () => {
    const { nodes } = await startSeveral()
    const { health } = await nodes[0]!.status()
    // Whoever probes is connected by now: leaving takes a moment only.
    await expect.poll(() => probe(health!, 'ready'), WAIT).toMatchObject({ status: 200 })
    nodes[0]!.ref(Account, '1').tell('deposit', { amount: 1 })
    const closed = nodes[0]!.close()
    expect(await probe(health!, 'ready')).toMatchObject({ status: 503, body: { phase: 'stopping' } })
    await closed
    await expect.poll(() => served([nodes[1]!]), WAIT).toEqual([4])
    await expect.poll(() => probe(nodes[1]!, 'ready'), WAIT).toMatchObject({ status: 200 })
  })
})
