import { expect, onTestFinished, test, vi } from 'vitest'
import { startNode, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'

test.runIf(hasRedis)(
  'by shard, each of several nodes runs the lanes of its shards, through moves and a rebuild, and all see all',
  { timeout: 120_000 },
  async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    // Read by the config when it is loaded.
    vi.stubEnv('PENHOLD_TEST_REDIS', server.url)
    onTestFinished(() => void vi.unstubAllEnvs())
    const { Totals } = await import('./shard-lanes.config.ts')
    const overrides = { dataDir: temporaryFolder(), redis: server.url }
    const nodes: Node[] = []
    const join = async (): Promise<void> => {
      const node = await startNode(new URL('shard-lanes.config.ts', import.meta.url), overrides)
      onTestFinished(() => node.close())
      nodes.push(node)
    }
    let written = 0
    const write = async (count: number): Promise<number> => {
      const asks = Array.from({ length: count }, (_, i) =>
        nodes[i % nodes.length]!.ref(Account, `a${i % 50}`).ask('deposit', { amount: 1 }),
      )
      const replies = await Promise.all(asks)
      written += count
      return Math.max(...replies.map(({ position }) => position))
    }
    const total = async (node: Node, after: number): Promise<number> => {
      const totals = await node.projection(Totals).query(({ key, read }) => read.hgetall(key('totals')), { after })
      return Object.values(totals).reduce((sum, value) => sum + Number(value), 0)
    }
    const lanesOf = async (node: Node): Promise<readonly string[]> =>
      (await node.projection(Totals).status()).lanes.map(({ lane }) => lane)

    await join()
    expect(await total(nodes[0]!, await write(300))).toBe(300)
    await join()
    await write(300)
    // Each has some of them, and together they have all, once the shards have moved.
    await vi.waitFor(
      async () => {
        const [first, second] = [await lanesOf(nodes[0]!), await lanesOf(nodes[1]!)]
        expect(first.length).toBeLessThan(16)
        expect(second.length).toBeGreaterThan(0)
        expect([...first, ...second].toSorted()).toEqual(
          Array.from({ length: 16 }, (_, shard) => String(shard)).toSorted(),
        )
      },
      { timeout: 60_000, interval: 200 },
    )
    const last = await write(300)
    for (const node of nodes) expect(await total(node, last)).toBe(written)

    // Begun at one, it is made by both, under load.
    const generation = await nodes[1]!.projection(Totals).rebuild()
    const during = await write(200)
    expect(await nodes[1]!.projection(Totals).rebuilt(generation)).toBe(true)
    for (const node of nodes) expect(await total(node, during)).toBe(written)
    await vi.waitFor(
      async () => {
        for (const node of nodes) expect((await node.projection(Totals).status()).generation).toBe(generation)
      },
      { timeout: 60_000 },
    )

    // The first leaves, and the other goes on with its lanes.
    await nodes.shift()!.close()
    const end = await write(100)
    expect(await total(nodes[0]!, end)).toBe(written)
    const versions = await nodes[0]!.projection(Totals).query(async ({ key, read }) => {
      const all = Array.from({ length: 50 }, (_, i) => read.lrange(key(`versions-account/a${i}`), 0, -1))
      return await Promise.all(all)
    })
    for (const ofOne of versions) expect(ofOne.map(Number)).toEqual(ofOne.map((_, i) => i + 1))
  },
)
