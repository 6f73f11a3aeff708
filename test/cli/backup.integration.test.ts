/** Backups of a node that serves, from a process of their own, and what is made of them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { deriveId, startNode, type Node } from '../../src/index.ts'
import { Account } from '../account.ts'
import { startInlineNode } from '../node/inline-node.ts'
import { temporaryFolder } from '../temporary.ts'

const main = new URL('../../src/cli/main.ts', import.meta.url).pathname
const ACCOUNTS = 8
const BACKUPS = 3

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function begin(...words: string[]): { readonly process: ChildProcess; readonly outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [out, err] = ['', '']
  child.stdout.on('data', (text) => (out += String(text)))
  child.stderr.on('data', (text) => (err += String(text)))
  return { process: child, outcome: once(child, 'close').then(([code]) => ({ code: code as number | null, out, err })) }
}

function penhold(...words: string[]): Promise<Outcome> {
  return begin(...words).outcome
}

interface Money {
  /** Transfers whose both sides were acknowledged. */
  readonly done: { readonly number: number; readonly position: number }[]
  stop: boolean
}

/** Takes money from one account and, once that is acknowledged, gives it to the next: the second is caused by the first. */
async function transfer(node: Node, money: Money, lane: number): Promise<void> {
  for (let i = 0; !money.stop; i += 1) {
    const number = i * ACCOUNTS + lane
    const [from, to] = [lane, (lane + 1 + (i % (ACCOUNTS - 1))) % ACCOUNTS]
    await node.ref(Account, `a${from}`).ask('withdraw', { amount: 1 }, { commandId: deriveId('take', number) })
    const options = { commandId: deriveId('give', number) }
    const { position } = await node.ref(Account, `a${to}`).ask('deposit', { amount: 1 }, options)
    money.done.push({ number, position })
  }
}

async function startBank(dataDir: string): Promise<Node> {
  const node = await startNode(new URL('../bank.config.ts', import.meta.url), { dataDir, workers: 3 })
  onTestFinished(() => node.close())
  return node
}

async function balances(node: Node): Promise<readonly number[]> {
  return Promise.all(Array.from({ length: ACCOUNTS }, (_, i) => node.ref(Account, `a${i}`).query('balance')))
}

test(
  'backups of a node under load are restored, each with all that was acknowledged before it began',
  {
    timeout: 240_000,
  },
  async () => {
    const dataDir = temporaryFolder()
    const folder = join(temporaryFolder(), 'backup')
    // Several journals, and events of the same position.
    const node = await startBank(dataDir)
    for (let i = 0; i < ACCOUNTS; i += 1) await node.ref(Account, `a${i}`).ask('deposit', { amount: 1_000_000 })
    const money: Money = { done: [], stop: false }
    const lanes = Array.from({ length: ACCOUNTS }, (_, lane) => transfer(node, money, lane))
    const made: { before: number; position: number; folder: string }[] = []
    for (let round = 0; round < BACKUPS; round += 1) {
      const before = money.done.length
      const { code, out, err } = await penhold('backup', folder, '--data', dataDir, '--json')
      expect([code, err]).toEqual([0, ''])
      const { position, bytesCopied } = JSON.parse(out) as { position: number; bytesCopied: number }
      expect(bytesCopied).toBeGreaterThan(0)
      made.push({ before, position, folder: `${folder}-${round}` })
      fs.cpSync(folder, `${folder}-${round}`, { recursive: true })
    }
    money.stop = true
    await Promise.all(lanes)
    await node.close()
    expect((await penhold('verify', '--data', dataDir)).code).toBe(0)
    for (const { before, position, folder: copy } of made) {
      const target = join(temporaryFolder(), 'restored')
      const restored = await penhold('restore', copy, target)
      expect([restored.code, restored.err]).toEqual([0, ''])
      expect(await penhold('verify', '--data', target, '--json')).toMatchObject({
        code: 0,
        out: expect.stringContaining('"damages":0,"notices":0') as string,
      })
      const again = await startBank(target)
      const sum = (await balances(again)).reduce((a, b) => a + b, 0)
      // What was taken and not given yet, of each lane one at most: never the other way round.
      expect(sum).toBeLessThanOrEqual(ACCOUNTS * 1_000_000)
      expect(sum).toBeGreaterThanOrEqual(ACCOUNTS * 1_000_000 - ACCOUNTS)
      expect(money.done.slice(0, before).every((one) => one.position <= position)).toBe(true)
      // The last commands that are in there have no second effect, whoever sends them once more.
      for (const { number } of money.done.slice(Math.max(0, before - 20), before)) {
        const lane = number % ACCOUNTS
        const options = { commandId: deriveId('take', number) }
        await again.ref(Account, `a${lane}`).ask('withdraw', { amount: 1 }, options)
      }
      expect((await balances(again)).reduce((a, b) => a + b, 0)).toBe(sum)
      const { position: next } = await again.ref(Account, 'a0').ask('deposit', { amount: 1 })
      expect(next).toBeGreaterThan(made.at(-1)!.position)
      await again.close()
    }
  },
)

test('a restore that is killed is not started, and one that is interrupted says what is left', async () => {
  const dataDir = temporaryFolder()
  const node = await startInlineNode({ dataDir })
  const asks = Array.from({ length: 40_000 }, (_, i) => node.ref(Account, `a${i % 999}`).ask('deposit', { amount: 1 }))
  await Promise.all(asks)
  await node.close()
  const folder = temporaryFolder()
  expect(await penhold('backup', folder, '--data', dataDir)).toMatchObject({ code: 0 })
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    const target = join(temporaryFolder(), 'restored')
    const { process: child, outcome } = begin('restore', folder, target)
    while (!fs.existsSync(join(target, 'unfinished'))) await new Promise((resolve) => setImmediate(resolve))
    child.kill(signal)
    const { code, err } = await outcome
    if (signal === 'SIGINT') {
      expect([code, err]).toEqual([130, expect.stringMatching(/^penhold: interrupted; .* is not whole, .*\n$/)])
    }
    await expect(startInlineNode({ dataDir: target })).rejects.toMatchObject({
      code: 'DataFormat',
      message: expect.stringContaining('being restored') as string,
    })
    expect(await penhold('restore', folder, target)).toMatchObject({
      code: 2,
      err: expect.stringContaining('is not empty') as string,
    })
  }
})
