import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { startNode, type Node } from '../../src/index.ts'
import { lastPositionAt } from '../../src/log/position.ts'
import { Account } from '../account.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'penhold-'))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))
// Read by the config when it is loaded.
process.env['PENHOLD_TEST_FOLDER'] = folder
const { Balances, Counts, Lines } = await import('./projections.config.ts')

async function start(): Promise<Node> {
  const node = await startNode(new URL('projections.config.ts', import.meta.url), { dataDir: join(folder, 'data') })
  onTestFinished(() => node.close())
  return node
}

test('a read model has what a reply named, goes on after a restart, and is rebuilt beside itself', async () => {
  const total = async (node: Node, after: number): Promise<unknown> => {
    const sql = 'SELECT sum(balance) AS total, sum(events) AS events FROM balances'
    return await node.projection(Balances).query(({ db }) => ({ ...db.prepare(sql).get() }), { after })
  }
  let node = await start()
  const deposits = Array.from({ length: 200 }, (_, i) => node.ref(Account, `a${i % 9}`).ask('deposit', { amount: 2 }))
  const position = Math.max(...(await Promise.all(deposits)).map((reply) => reply.position))
  expect(await total(node, position)).toEqual({ total: 400, events: 200 })
  await node.close()

  node = await start()
  const again = await node.ref(Account, 'a1').ask('deposit', { amount: 5 })
  expect(await total(node, again.position)).toEqual({ total: 405, events: 201 })
  const balances = node.projection(Balances)
  expect(await balances.status()).toMatchObject({ generation: 1, events: 1 })

  const generation = await balances.rebuild()
  expect(generation).toBe(2)
  const last = await node.ref(Account, 'a2').ask('deposit', { amount: 1 })
  expect(await balances.rebuilt(generation)).toBe(true)
  expect(await total(node, last.position)).toEqual({ total: 406, events: 202 })
  expect(await balances.status()).toMatchObject({ generation: 2, previous: 1 })
  expect((await node.status()).projections.map(({ name }) => name)).toEqual(['balances', 'lines', 'counts'])
})

test('what a handler cannot take is parked, in order, and retried by hand', async () => {
  vi.stubEnv('PENHOLD_TEST_REFUSED', 'b3')
  onTestFinished(() => void vi.unstubAllEnvs())
  const node = await start()
  for (let i = 0; i < 12; i += 1) await node.ref(Account, `b${i % 4}`).ask('deposit', { amount: 1 })
  const lines = node.projection(Lines)
  const seen = (): Promise<readonly string[]> =>
    lines.query((model) => [...model.lines.values()].filter((line) => line.startsWith('account/b')))
  await vi.waitFor(async () => expect(await seen()).toHaveLength(9), { timeout: 60_000 })
  const parked = async (): Promise<readonly string[]> =>
    (await lines.parked()).map(({ stream, version }) => `${stream}@${version}`)
  const all = [1, 2, 3].map((at) => `account/b3@${at}`)
  // The last event of all is one of them.
  await vi.waitFor(async () => expect(await parked()).toEqual(all), { timeout: 60_000 })
  vi.stubEnv('PENHOLD_TEST_REFUSED', '')
  await lines.retryParked('account/b3')
  const ofB3 = (await seen()).filter((line) => line.startsWith('account/b3'))
  expect(ofB3).toEqual(all)
  expect(await parked()).toEqual([])
})

test('a query that waits while its node is closed is told so', async () => {
  const node = await start()
  const lines = node.projection(Lines)
  // Where the log will be in half a minute.
  const after = lastPositionAt(Date.now() + 30_000)
  const waiting = lines.query((model) => model.lines.size, { after, timeoutMs: 20_000 })
  const told = expect(waiting).rejects.toMatchObject({ code: 'NodeClosed' })
  await node.close()
  await told
  await expect(lines.query((model) => model.lines.size)).rejects.toMatchObject({ code: 'NodeClosed', outcome: 'none' })
})

test('by shard, what is parked is retried, and no query waits for shards in which nothing comes', async () => {
  vi.stubEnv('PENHOLD_TEST_REFUSED', 'c3')
  onTestFinished(() => void vi.unstubAllEnvs())
  const node = await start()
  const counts = node.projection(Counts)
  let last = 0
  for (let i = 0; i < 12; i += 1) {
    last = (await node.ref(Account, `c${i % 4}`).ask('deposit', { amount: 1 })).position
  }
  const seen = (after?: number): Promise<readonly (number | undefined)[]> =>
    counts.query(
      (model) => [0, 1, 2, 3].map((id) => model.counts.get(`account/c${id}`)),
      after === undefined ? {} : { after },
    )
  expect(await seen(last)).toEqual([3, 3, 3, undefined])
  vi.stubEnv('PENHOLD_TEST_REFUSED', '')
  expect(await counts.retryParked('account/c3')).toEqual({ done: 3, failed: undefined })
  expect(await seen()).toEqual([3, 3, 3, 3])
  const status = await counts.status()
  expect(status).toMatchObject({ state: 'caught up', elsewhere: [] })
  expect(await counts.parked({ stream: 'account/c3' })).toEqual([])
  expect(status.lanes).toHaveLength(8)
})
