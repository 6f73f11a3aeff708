/** Whoever the others cannot ask, or do not let in, owns no shard. */
import fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { connect, defineCluster, startNode, type ClusterConfig, type Node, type Overrides } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

const [SECRET, OTHER_SECRET] = ['a secret of thirty-two characters', 'another one of thirty-two characters']
let clusters = 0

describe.skipIf(!hasRedis)('not let in', { timeout: 180_000 }, () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.stop())

  function define(): ClusterConfig & { readonly warnings: string[] } {
    clusters += 1
    const warnings: string[] = []
    const config = defineCluster({
      name: `refused-${clusters}`,
      aggregates: [Account],
      dataDir: temporaryFolder(),
      workers: 'inline',
      shards: 8,
      redis: redis.url,
      network: { secrets: [SECRET] },
      // Who asks for a shard that nobody can serve waits until each node has tried it.
      timeouts: { askMs: 40_000 },
      onWarning: (message) => warnings.push(message),
    })
    return Object.assign(config, { warnings })
  }

  async function start(config: ClusterConfig, overrides: Overrides = {}): Promise<Node> {
    const node = await startNode(defineCluster({ ...config, ...overrides }))
    onTestFinished(() => node.close())
    return node
  }

  async function untilMembers(node: Node, count: number): Promise<void> {
    await vi.waitFor(async () => expect((await node.status()).cluster!.members).toHaveLength(count), 30_000)
  }

  test('NodeRefused: a node or client with another secret does not start, and costs the others nothing', async () => {
    const { warnings, ...config } = define()
    const [first] = [await start(config), await start(config)]
    const wrong = { network: { secrets: [OTHER_SECRET] } }
    await expect(start(config, wrong)).rejects.toMatchObject({
      code: 'NodeRefused',
      outcome: 'none',
      message: expect.stringContaining('shared secret') as string,
    })
    await expect(connect(config, wrong)).rejects.toMatchObject({ code: 'NodeRefused' })
    // Each of the two says so, and once.
    await expect.poll(() => warnings.filter((warning) => warning.includes('127.0.0.1 was not let in'))).toHaveLength(2)
    for (let i = 0; i < 16; i += 1) {
      expect(await first.ref(Account, `a${i}`).ask('deposit', { amount: 1 })).toMatchObject({ version: 1 })
    }
    await untilMembers(first, 2)
  })

  test('NodeRefused: a node on a copy of the data, under the same name, owns nothing', async () => {
    const { warnings, ...config } = define()
    const first = await start(config)
    const copy = temporaryFolder()
    fs.cpSync(config.dataDir, copy, { recursive: true })
    await expect(start(config, { dataDir: copy })).rejects.toMatchObject({
      code: 'NodeRefused',
      message: expect.stringContaining('the same data directory') as string,
    })
    expect(warnings.some((warning) => warning.includes('works on a copy of this data'))).toBe(true)
    await untilMembers(first, 1)
    await start(config)
    await untilMembers(first, 2)
  })

  test('LogCorrupt: whoever asks for a shard that nobody can serve is told why, and for others is answered', async () => {
    const { warnings: _, ...config } = define()
    const before = await startNode(defineCluster(config))
    const ids = Array.from({ length: 40 }, (_id, i) => `a${i}`)
    for (const id of ids) await before.ref(Account, id).ask('deposit', { amount: 1 })
    await before.close()
    // Which shard a stream falls into is another in each cluster.
    const damaged = (before as unknown as { shardOf(stream: string): number }).shardOf(`account/${ids[0]}`)
    const shard = join(config.dataDir, 'shards', String(damaged).padStart(5, '0'))
    const claim = fs.readdirSync(shard).findLast((name) => name.endsWith('.claim'))!
    fs.writeFileSync(join(shard, claim), 'nonsense')
    const node = await start(config)
    const asker = await start(config)
    const client = await connect(config)
    onTestFinished(() => client.close())
    for (const { ref } of [node, asker, client].map((from) => ({ ref: (id: string) => from.ref(Account, id) }))) {
      const asked = await Promise.allSettled(ids.map((id) => ref(id).ask('deposit', { amount: 1 })))
      const errors = asked.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
      expect(errors.length).toBeGreaterThan(0)
      expect(errors.length).toBeLessThan(ids.length)
      for (const error of errors) expect(error).toMatchObject({ code: 'LogCorrupt', outcome: 'none' })
    }
  })

  test('while the secret is changed, a node with both is let in by one that has either', async () => {
    const { warnings: _, ...config } = define()
    await start(config)
    const both = await start(config, { network: { secrets: [SECRET, OTHER_SECRET] } })
    expect(await both.ref(Account, 'a').ask('deposit', { amount: 1 })).toMatchObject({ version: 1 })
  })

  test('AddressUnreachable: a node that tells the others an address where it does not answer', async () => {
    const { warnings: _, ...config } = define()
    const network = { secrets: [SECRET], advertise: '127.0.0.1:1' }
    await expect(start(config, { network })).rejects.toMatchObject({
      code: 'AddressUnreachable',
      details: { address: '127.0.0.1:1' },
    })
    const everywhere = { secrets: [SECRET], listen: '0.0.0.0:0' }
    await expect(start(config, { network: everywhere })).rejects.toMatchObject({
      code: 'BadDefinition',
      message: expect.stringContaining('Set network.advertise') as string,
    })
    const first = await start(config)
    const [taken] = (await first.status()).cluster!.members
    const others = { secrets: [SECRET], advertise: taken!.address }
    await expect(start(config, { network: others })).rejects.toThrow('another node answers there')
    await untilMembers(first, 1)
  })
})
