import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, onTestFinished, test, vi } from 'vitest'
import { startNode, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'penhold-'))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))
// Read by the config when it is loaded.
process.env['PENHOLD_TEST_FOLDER'] = folder
const { Balances, Lines } = await import('./projections.config.ts')

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
  expect((await node.status()).projections.map(({ name }) => name)).toEqual(['balances', 'lines'])
})

test('what a handler cannot take is parked, in order, and retried by hand', async () => {
  vi.stubEnv('PENHOLD_TEST_REFUSED', 'b3')
  onTestFinished(() => void vi.unstubAllEnvs())
  const node = await start()
  for (let i = 0; i < 12; i += 1) await node.ref(Account, `b${i % 4}`).ask('deposit', { amount: 1 })
  const lines = node.projection(Lines)
  const seen = (): Promise<readonly string[]> =>
    lines.query((model) => [...model.lines.values()].filter((line) => line.startsWith('account/b')))
  await vi.waitFor(async () => expect(await seen()).toHaveLength(9), { timeout: 10_000 })
  // The last event of all is one that is parked.
  await vi.waitFor(async () => expect(await lines.parked()).toHaveLength(3), { timeout: 10_000 })
  const parked = await lines.parked()
  expect(parked.map(({ stream, version }) => `${stream}@${version}`)).toEqual([1, 2, 3].map((at) => `account/b3@${at}`))
  vi.stubEnv('PENHOLD_TEST_REFUSED', '')
  await lines.retryParked('account/b3')
  const ofB3 = (await seen()).filter((line) => line.startsWith('account/b3'))
  expect(ofB3).toEqual([1, 2, 3].map((at) => `account/b3@${at}`))
  expect(await lines.parked()).toEqual([])
})
