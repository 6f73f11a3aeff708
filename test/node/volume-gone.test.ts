import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { startInlineNode } from './inline-node.ts'

test('a node whose volume is taken away under it, so that it sees no fence any more, acknowledges nothing', async () => {
  const dataDir = temporaryFolder()
  const node = await startInlineNode({ dataDir })
  const account = node.ref(Account, '1')
  await account.ask('deposit', { amount: 1 })
  fs.renameSync(join(dataDir, 'journals'), join(dataDir, 'away'))
  await expect(account.ask('deposit', { amount: 1 }, { timeoutMs: 1_000 })).rejects.toMatchObject({
    outcome: 'unknown',
  })
})

test('a worker that is started anew where the volume was does not begin an empty log there, and serves once it is back', async () => {
  const dataDir = temporaryFolder()
  const [here, away] = [join(dataDir, 'data'), join(dataDir, 'away')]
  const node = await startInlineNode({ dataDir: here })
  const account = node.ref(Account, '1')
  await account.ask('deposit', { amount: 1 })
  fs.renameSync(here, away)
  const doubted = account.ask('deposit', { amount: 1 })
  // Its worker finds out, and cannot be replaced.
  while ((await node.status()).workers[0] !== undefined) await delay(10)
  await delay(200)
  expect(fs.existsSync(join(here, 'journals'))).toBe(false)
  fs.rmSync(here, { recursive: true, force: true })
  fs.renameSync(away, here)
  expect((await doubted).version).toBe(2)
  expect(await account.query('balance')).toBe(2)
})
