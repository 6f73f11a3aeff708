import { expect, test } from 'vitest'
import { PenholdError } from '../../../src/aggregate/error.ts'
import { defineCluster } from '../../../src/index.ts'
import { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'
import { createAccount } from '../bank.ts'

const HANGS_MS = 6_000
const account = createAccount(false)

/** Two nodes, between which nothing goes for a while, with nobody told; and what callers at the one ask of the other's shards. */
async function startApart() {
  const timeouts = { askMs: 2_000, stopMs: 1_000 }
  const config = defineCluster({
    name: 'simulated',
    aggregates: [account],
    dataDir: 'none',
    workers: 1,
    shards: 8,
    timeouts,
  })
  const cluster = new SimulatedCluster({ seed: 1, config, joinsAtMs: [0, 10] })
  const { kernel } = cluster
  await kernel.run({ untilMs: 10_000 })
  const here = cluster.nodes[0]!
  const shards = new Set<number>()
  void cluster.look().then((view) => {
    for (const { shard, member } of view!.leases) if (member === 'place-1-1') shards.add(shard)
  })
  await kernel.run({ untilMs: kernel.now + 100 })
  const ids = Array.from({ length: 100 }, (_, i) => String(i))
  const id = ids.find((each) => shards.has(here.running.shardOf(`account/${each}`)))!
  const ref = here.running.ref(account, id)
  let by = 0
  /** Asks at once; resolves to what became of it, and after how long. */
  const ask = (timeoutMs: number): Promise<{ readonly became: string; readonly afterMs: number }> => {
    const askedAt = kernel.now
    by += 1
    const movement = { amount: 1, by }
    return new Promise((resolve) => {
      const tell = (became: string): void => resolve({ became, afterMs: kernel.now - askedAt })
      here.main.run(() => {
        ref.ask('deposit', movement, { timeoutMs }).then(
          () => tell('accepted'),
          (error: unknown) => tell(error instanceof PenholdError ? `${error.code} ${error.outcome}` : String(error)),
        )
      })
    })
  }
  const hang = (): void => {
    const cut = { kind: 'cut-network', atMs: kernel.now, forMs: HANGS_MS } as const
    cluster.schedule([
      { ...cut, from: 0, to: 1 },
      { ...cut, from: 1, to: 0 },
    ])
  }
  const pass = (ms: number): Promise<boolean> => kernel.run({ untilMs: kernel.now + ms })
  const count = async (): Promise<number> => {
    let seen = -1
    here.main.run(() => void ref.query('view').then((view) => (seen = view.count)))
    await kernel.run({ untilMs: kernel.now + 5_000, isDone: () => seen >= 0 })
    return seen
  }
  return { ask, hang, pass, count }
}

test('while a peer hangs, what is asked of its shards ends in its time, and tells what may have been done from what was not', async () => {
  const { ask, hang, pass, count } = await startApart()
  const before = ask(1_000)
  await pass(100)
  expect(await before).toMatchObject({ became: 'accepted' })
  hang()
  await pass(1)
  const [brief, longer, patient] = [ask(1_000), ask(4_500), ask(20_000)]
  // The peer is known to be silent, and is called in vain: this never leaves.
  await pass(4_200)
  const [held, heldPatiently] = [ask(1_000), ask(20_000)]
  await pass(30_000)
  const slack = 1.1
  expect(await brief).toEqual({ became: 'Timeout unknown', afterMs: expect.any(Number) })
  expect((await brief).afterMs).toBeLessThanOrEqual(1_000 * slack)
  expect((await longer).became).toBe('Timeout unknown')
  expect((await longer).afterMs).toBeLessThanOrEqual(4_500 * slack)
  expect((await held).became).toBe('ShardUnavailable none')
  expect((await held).afterMs).toBeLessThanOrEqual(1_000 * slack)
  expect([(await patient).became, (await heldPatiently).became]).toEqual(['accepted', 'accepted'])
  // Those that are in doubt may have been done once; what says that it was not done never is.
  const done = await count()
  expect(done).toBeGreaterThanOrEqual(3)
  expect(done).toBeLessThanOrEqual(5)
})
