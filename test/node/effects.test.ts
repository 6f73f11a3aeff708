import { expect, test } from 'vitest'
import type { RefHost } from '../../src/cluster/ref.ts'
import { deriveId } from '../../src/index.ts'
import { NodeEffects } from '../../src/node/effects.ts'
import type { RunningNodeStore } from '../../src/node/node-store.ts'
import { Account } from '../account.ts'
import { startInlineNode } from './inline-node.ts'

async function open() {
  const node = await startInlineNode({ limits: { dedupeWindow: 2 } })
  const host = node as unknown as RefHost
  const store = node.store as unknown as RunningNodeStore
  return { node, host, effects: new NodeEffects({ host, store, aggregates: [Account] }) }
}

const cause = { correlationId: 'c', causationId: 'e', after: 0 }

test('what is sent again with its id takes effect once, however many others came meanwhile', async () => {
  const { node, effects } = await open()
  const { position: after } = await node.ref(Account, 'cause').ask('deposit', { amount: 1 })
  const deposit = (n: number) => {
    const command = { stream: 'account/1', name: 'deposit', payload: { amount: 1 }, commandId: deriveId('sent', n) }
    return effects.ask({ ...command, ...cause, after })
  }
  const first = await deposit(0)
  for (let n = 1; n <= 20; n += 1) await deposit(n)
  expect(await deposit(0)).toEqual(first)
  expect(first).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await effects.query({ stream: 'account/1', name: 'balance' })).toBe(21)
  const withdraw = { stream: 'account/1', name: 'withdraw', payload: { amount: 99 }, commandId: deriveId('too much') }
  expect(await effects.ask({ ...withdraw, ...cause })).toMatchObject({
    kind: 'rejected',
    code: 'insufficient-funds',
    details: { balance: 21 },
  })
  await expect(effects.ask({ ...withdraw, ...cause, stream: 'nobody/1' })).rejects.toMatchObject({
    code: 'UnknownCommand',
  })
})

test('internal streams are appended to once, read by who knows them, and passed over by the rest', async () => {
  const { node, host, effects } = await open()
  for (const shard of [0, 1, 2, 3]) {
    const name = effects.inShard(shard, '$notes', 'minutes/7')
    expect(host.shardOf(name)).toBe(shard)
    expect(effects.inShard(shard, '$notes', 'minutes/7')).toBe(name)
  }
  const stream = effects.inShard(2, '$notes', 'minutes/7')
  const append = (n: number) => {
    return effects.append(stream, [{ type: 'Noted', data: { n } }], { ...cause, commandId: deriveId('note', n) })
  }
  const first = await append(1)
  for (let n = 2; n <= 10; n += 1) await append(n)
  expect(await append(1)).toMatchObject({ version: first.version, position: first.position })
  const loaded = await Array.fromAsync(effects.load(stream, { from: 3, limit: 2 }))
  expect(loaded).toMatchObject([
    { version: 3, type: 'Noted', data: { n: 3 } },
    { version: 4, data: { n: 4 } },
  ])
  expect(await Array.fromAsync(node.store.readAll())).toEqual([])
  expect(await Array.fromAsync(node.store.readAll({ categories: ['$notes'], raw: true }))).toEqual([])
})
