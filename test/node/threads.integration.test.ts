import fs from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { deriveId, startNode, type Node, type Overrides } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { expectLeftAlone } from './left-alone.ts'
import { Troublesome } from './troublesome.ts'

async function startThreadedNode(overrides: Overrides = {}): Promise<Node> {
  const url = new URL('troublesome.config.ts', import.meta.url)
  const node = await startNode(url, { dataDir: temporaryFolder(), ...overrides })
  onTestFinished(() => node.close())
  return node
}

test('commands, queries and past states work over worker threads, and survive a restart', async () => {
  const dataDir = temporaryFolder()
  const first = await startThreadedNode({ dataDir })
  const ids = Array.from({ length: 50 }, (_, i) => `acc-${i}`)
  await Promise.all(ids.map((id, i) => first.ref(Account, id).ask('deposit', { amount: i })))
  const reply = await first
    .ref(Account, 'acc-7')
    .ask('withdraw', { amount: 2 }, { metadata: { user: 'u', correlationId: 'c' } })
  expect(reply.events).toMatchObject([
    { type: 'MoneyWithdrawn', data: { amount: 2 }, version: 2, metadata: { user: 'u', correlationId: 'c' } },
  ])
  await first.close()
  const second = await startThreadedNode({ dataDir })
  const balances = await Promise.all(ids.map((id) => second.ref(Account, id).query('balance')))
  expect(balances).toEqual(ids.map((_, i) => (i === 7 ? 5 : i)))
  const account = second.ref(Account, 'acc-7')
  expect(await account.state({ atVersion: 1 })).toMatchObject({ balance: 7 })
  expect(await account.state({ atEvent: reply.events[0]!.id })).toMatchObject({ balance: 5 })
  expect(await account.state({ atTime: reply.events[0]!.time })).toMatchObject({ balance: 5 })
  expect(await account.state({ atTime: new Date(0) })).toEqual(Account.initialState())
})

test('HandlerStuck: a handler that holds its thread is named, its worker replaced, and everyone else goes on', async () => {
  const node = await startThreadedNode()
  const others = Array.from({ length: 8 }, (_, i) => node.ref(Account, `a${i}`))
  await Promise.all(others.map((ref) => ref.ask('deposit', { amount: 1 })))
  const troublesome = node.ref(Troublesome, '1')
  const stuck = troublesome.ask('hang')
  const meanwhile = others.map((ref) => ref.ask('deposit', { amount: 1 }))
  await expect(stuck).rejects.toMatchObject({
    code: 'HandlerStuck',
    outcome: 'none',
    details: { stream: 'troublesome/1', name: 'hang' },
  })
  const add = () => troublesome.ask('add', { count: 1 })
  const heldAgain = await expectLeftAlone([add], () => troublesome.ask('hang'))
  expect((await Promise.all(meanwhile)).map(({ version }) => version)).toEqual(others.map(() => 2))
  expect((await node.status()).workerRestarts).toBe(1 + heldAgain)
})

test('HandlerStuck: an aggregate is left alone though whoever asked it has given up waiting', async () => {
  const node = await startThreadedNode({ timeouts: { handlerMs: 4_000 } })
  const troublesome = node.ref(Troublesome, '1')
  const hang = () => troublesome.ask('hang')
  const givenUp = expect(troublesome.ask('hang', undefined, { timeoutMs: 1_000 })).rejects
  // This one waits behind it.
  const behind = expect(hang()).rejects.toMatchObject({ code: 'HandlerStuck', outcome: 'unknown' })
  await givenUp.toMatchObject({ code: 'Timeout' })
  await behind
  const heldAgain = await expectLeftAlone([() => troublesome.ask('add', { count: 1 })], hang)
  expect((await node.status()).workerRestarts).toBe(1 + heldAgain)
})

test("a worker's crash costs its shards a pause, not the process, and no command is lost or done twice", async () => {
  const node = await startThreadedNode()
  const accounts = Array.from({ length: 10 }, (_, i) => node.ref(Account, `a${i}`))
  const troublesome = node.ref(Troublesome, '1')
  const asked: Promise<{ version: number }>[] = []
  let exit: Promise<unknown> | undefined
  for (let round = 0; round < 20; round += 1) {
    for (const account of accounts) asked.push(account.ask('deposit', { amount: 1 }))
    if (round === 10) exit = troublesome.ask('exit').catch((error: unknown) => error)
  }
  await Promise.all(asked)
  expect(await exit, 'a handler that ends its thread is not sent again').toMatchObject({
    code: 'HandlerStuck',
    outcome: 'none',
  })
  const balances = await Promise.all(accounts.map((account) => account.query('balance')))
  expect(balances).toEqual(accounts.map(() => 20))
  expect((await node.status()).workerRestarts).toBe(1)
})

test("a handler's floating work that fails costs no worker its thread", async () => {
  const node = await startThreadedNode({ workers: 1 })
  const troublesome = node.ref(Troublesome, '1')
  await troublesome.ask('float', { what: 'rejection' })
  await troublesome.ask('float', { what: 'exception' })
  // Asked one after the other, these outlast the millisecond after which the callback throws.
  for (let i = 0; i < 200; i += 1) await node.ref(Account, 'a').ask('deposit', { amount: 1 })
  expect((await node.status()).workerRestarts).toBe(0)
})

test('a thread that does nothing any more, though no handler holds it, is replaced', async () => {
  const node = await startThreadedNode({ workers: 1 })
  await node.ref(Troublesome, '1').ask('float', { what: 'hang' })
  const asked = Array.from({ length: 10 }, () => node.ref(Account, 'a').ask('deposit', { amount: 1 }))
  expect((await Promise.all(asked)).map(({ version }) => version)).toEqual(asked.map((_, i) => i + 1))
  expect((await node.status()).workerRestarts).toBe(1)
})

test('HandlerStuck: a question that ends two threads is sent to no third, and commands go on', async () => {
  const node = await startThreadedNode({ workers: 1 })
  const ids = Array.from({ length: 20 }, (_, i) => `a${i}`)
  const deposit = (): Promise<unknown> =>
    Promise.all(ids.map((id) => node.ref(Account, id).ask('deposit', { amount: 1 })))
  await deposit()
  const asked = node.ref(Troublesome, '1').query('stop')
  const meanwhile = deposit()
  await expect(asked).rejects.toMatchObject({ code: 'HandlerStuck', outcome: 'none', details: { name: 'stop' } })
  await meanwhile
  const balances = await Promise.all(ids.map((id) => node.ref(Account, id).query('balance')))
  expect(balances).toEqual(ids.map(() => 2))
  expect((await node.status()).workerRestarts).toBe(2)
})

test('closing answers what is under way', async () => {
  const node = await startThreadedNode()
  const account = node.ref(Account, '1')
  const asked = Array.from({ length: 100 }, () =>
    account.ask('deposit', { amount: 1 }, { commandId: deriveId(Math.random()) }),
  )
  const status = node.status()
  await node.close()
  expect((await status).name).toBe('trouble')
  await expect(node.status()).rejects.toMatchObject({ code: 'NodeClosed', outcome: 'none' })
  const versions = (await Promise.all(asked)).map(({ version }) => version)
  expect(versions).toEqual(versions.map((_, i) => i + 1))
})

test('a node closes while a worker that is being replaced does not come back: its config waits for something', async () => {
  const folder = temporaryFolder()
  const config = join(folder, 'cluster.config.ts')
  const troublesome = new URL('troublesome.config.ts', import.meta.url).href
  fs.writeFileSync(
    config,
    `import fs from 'node:fs'
import { isMainThread } from 'node:worker_threads'
export { default } from '${troublesome}'
if (!isMainThread && fs.existsSync(new URL('wait', import.meta.url))) {
  fs.writeFileSync(new URL('waits', import.meta.url), '')
  await new Promise((resolve) => setTimeout(resolve, 2 ** 30))
}
`,
  )
  const node = await startNode(pathToFileURL(config), { dataDir: join(folder, 'data'), workers: 1 })
  fs.writeFileSync(join(folder, 'wait'), '')
  await expect(node.ref(Troublesome, '1').ask('exit')).rejects.toMatchObject({ code: 'HandlerStuck' })
  await expect.poll(() => fs.existsSync(join(folder, 'waits'))).toBe(true)
  await node.close()
})
