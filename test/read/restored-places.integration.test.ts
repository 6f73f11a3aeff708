import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startNode, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

const main = join(import.meta.dirname, '../../src/cli/main.ts')

function penhold(...words: string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [main, ...words], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
}

test('after a restore, what was read of it before is refused with one code, though the log has grown beyond it', async () => {
  const folder = temporaryFolder()
  vi.stubEnv('PENHOLD_TEST_FOLDER', folder)
  onTestFinished(() => void vi.unstubAllEnvs())
  const { Balances } = await import('./projections.config.ts')
  const start = async (dataDir: string): Promise<Node> => {
    const node = await startNode(new URL('projections.config.ts', import.meta.url), { dataDir: join(folder, dataDir) })
    onTestFinished(() => node.close())
    return node
  }
  const total = async (node: Node, after: number): Promise<unknown> => {
    const ask = ({ db }: { db: { prepare(sql: string): { get(): object | undefined } } }) => {
      return { ...db.prepare('SELECT sum(balance) AS total FROM balances').get() }
    }
    return await node.projection(Balances).query(ask, { after })
  }

  const before = await start('data')
  const positions: number[] = []
  for (let i = 0; i < 5; i += 1) {
    positions.push((await before.ref(Account, 'anna').ask('deposit', { amount: 1 })).position)
  }
  const places = (await Array.fromAsync(before.store.readAll())).map(({ place }) => place)
  expect(await total(before, positions.at(-1)!)).toEqual({ total: 5 })
  await before.close()
  penhold('backup', join(folder, 'backup'), '--data', join(folder, 'data'))
  penhold('restore', join(folder, 'backup'), join(folder, 'earlier'), '--to-position', String(positions[2]))
  expect(fs.existsSync(join(folder, 'earlier/restored.json'))).toBe(true)

  const node = await start('earlier')
  const later = await node.ref(Account, 'anna').ask('deposit', { amount: 10 })
  expect(later.position).toBeGreaterThan(positions[4]!)
  const ahead = { code: 'PlaceAhead', details: { restoredTo: positions[2] } }
  for (const after of places.slice(3)) {
    await expect(Array.fromAsync(node.store.readAll({ after }))).rejects.toMatchObject(ahead)
    await expect(Array.fromAsync(node.store.subscribe({ after }))).rejects.toMatchObject(ahead)
  }
  expect(await Array.fromAsync(node.store.readAll({ after: places[2]! }))).toMatchObject([{ version: 4 }])
  const behind = (stream: string, after: number) => node.store.subscribe({ stream, after }).next()
  const versionAhead = { code: 'PlaceAhead', message: expect.stringContaining('which was last restored at') }
  await expect(behind('account/anna', 5)).rejects.toMatchObject({ ...versionAhead, details: { after: 5, version: 4 } })
  await expect(behind('account/ben', 1)).rejects.toMatchObject({ ...versionAhead, details: { after: 1, version: 0 } })
  expect(await behind('account/anna', 3)).toMatchObject({ value: { version: 4 } })

  const balances = node.projection(Balances)
  await vi.waitFor(async () => expect(await balances.status()).toMatchObject({ state: 'halted' }), { timeout: 60_000 })
  expect((await balances.status()).trouble).toMatch(
    /is ahead of the log, which was restored at .*penhold projection rebuild/,
  )
  await expect(total(node, positions[4]!)).rejects.toMatchObject(ahead)
  await expect(total(node, later.position)).rejects.toMatchObject({ code: 'ProjectionHalted' })
  expect(await balances.rebuilt(await balances.rebuild())).toBe(true)
  expect(await total(node, later.position)).toEqual({ total: 13 })
  await expect(total(node, positions[4]!)).rejects.toMatchObject(ahead)
})
