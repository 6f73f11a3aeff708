import { expect, test } from 'vitest'
import { z } from 'zod'
import type { Aggregate } from '../../src/aggregate/aggregate.ts'
import type { Reply } from '../../src/actor/message.ts'
import { PenholdError } from '../../src/aggregate/error.ts'
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
  return { node, host, store, effects: new NodeEffects({ host, store, aggregates: [Account] }) }
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

const deposit = { stream: 'account/1', name: 'deposit', payload: { amount: 1 }, commandId: deriveId('sent', 1) }

test('what was accepted before is accepted, whatever is said against it now', async () => {
  const { host, store, effects } = await open()
  const accepted = await effects.ask({ ...deposit, ...cause })
  const { deposit: _gone, ...commands } = Account.commands
  const refusing: Readonly<Record<string, { readonly host?: RefHost; readonly aggregates: readonly Aggregate[] }>> = {
    UnknownCommand: { aggregates: [{ ...Account, commands }] },
    'UnknownCommand, as its aggregate is not there': { aggregates: [] },
    BadPayload: { aggregates: [{ ...Account, schemas: { deposit: z.string() } }] },
    TooLarge: { host: smaller(host), aggregates: [Account] },
  }
  for (const [how, { host: its = host, aggregates }] of Object.entries(refusing)) {
    const [code] = how.split(',')
    const newer = new NodeEffects({ host: its, store, aggregates })
    for (const asking of [newer, newer.from(0, 1)]) {
      expect(await asking.ask({ ...deposit, ...cause }), how).toEqual(accepted)
      const other = { ...deposit, ...cause, commandId: deriveId('sent', 2) }
      await expect(asking.ask(other), how).rejects.toMatchObject({ code, outcome: 'none' })
    }
  }
  expect(await effects.query({ stream: 'account/1', name: 'balance' })).toBe(1)
  // Its id stands for what was accepted, and for nothing else.
  const date = { ...deposit, ...cause, payload: { amount: new Date() } }
  await expect(effects.ask(date)).rejects.toMatchObject({ code: 'CommandIdReused', details: { hasTakenEffect: true } })
})

test('what was rejected before has had no effect, and what nobody can look for may have had one', async () => {
  const { host, store, effects } = await open()
  const withdraw = { ...deposit, ...cause, name: 'withdraw', commandId: deriveId('sent', 3) }
  expect(await effects.ask(withdraw)).toMatchObject({ kind: 'rejected' })
  const newer = new NodeEffects({ host, store, aggregates: [] })
  for (const asking of [newer, newer.from(0, 1)]) {
    await expect(asking.ask(withdraw)).rejects.toMatchObject({ code: 'UnknownCommand', outcome: 'none' })
  }
  for (const retryable of [true, false]) {
    const away = new PenholdError('ShardUnavailable', 'nobody serves it', { outcome: 'none', retryable })
    const send: RefHost['send'] = (_to, _message, outcome) => outcome.reject(away)
    const alone = new NodeEffects({ host: { ...smaller(host), send }, store, aggregates: [] })
    await expect(alone.ask({ ...deposit, ...cause })).rejects.toMatchObject({
      code: 'UnknownCommand',
      outcome: 'unknown',
      retryable,
      message: expect.stringContaining('cannot be told now: nobody serves it') as string,
    })
  }
})

test('what can have no stream was never sent, and it is said what is wrong with its id and nothing else', async () => {
  const { effects } = await open()
  for (const id of ['', 'x'.repeat(2_000), '\ud800']) {
    const asked = effects.ask({ ...deposit, ...cause, stream: `account/${id}` })
    await expect(asked).rejects.toMatchObject({ code: 'BadAddress', outcome: 'none', retryable: false })
    await expect(asked).rejects.not.toThrow('cannot be told')
  }
})

test('what is wrong with a command is told as such, whatever time its sender gives it', async () => {
  const { effects, host, store } = await open()
  const strict = new NodeEffects({ host, store, aggregates: [{ ...Account, schemas: { deposit: z.string() } }] })
  const refused = { code: 'BadPayload', outcome: 'none', retryable: false }
  for (const timeoutMs of [-1, Number.NaN, '5' as unknown as number, 2 ** 40]) {
    const asked = effects.ask({ ...deposit, ...cause, timeoutMs })
    await expect(asked, String(timeoutMs)).rejects.toMatchObject(refused)
    await expect(asked).rejects.toThrow('timeoutMs is')
  }
  await expect(strict.ask({ ...deposit, ...cause, timeoutMs: 0 })).rejects.toMatchObject(refused)
})

test('only who has looked, and says so, has said that there is nothing', async () => {
  const { host, store } = await open()
  const asking = (reply: Reply): NodeEffects => {
    const send: RefHost['send'] = (_to, _message, outcome) => outcome.resolve(reply)
    return new NodeEffects({ host: { ...smaller(host), send }, store, aggregates: [] })
  }
  const failed = (code: string, details?: object): Reply => {
    return { kind: 'failed', failure: { code, message: '', outcome: 'none', retryable: false, details } }
  }
  const absent = [
    failed('ExpectedVersion'),
    failed('CommandIdReused', { hasTakenEffect: false }),
    { kind: 'rejected', code: 'no', details: undefined } as const,
  ]
  for (const reply of absent) {
    const refused = { code: 'UnknownCommand', outcome: 'none' }
    await expect(asking(reply).ask({ ...deposit, ...cause })).rejects.toMatchObject(refused)
  }
  // As the version before has it.
  await expect(asking(failed('CommandIdReused')).ask({ ...deposit, ...cause })).rejects.toMatchObject({
    code: 'CommandIdReused',
  })
  for (const code of ['UnknownCommand', 'HandlerFailed', 'LogCorrupt']) {
    const doubtful = { code: 'UnknownCommand', outcome: 'unknown' }
    await expect(asking(failed(code)).ask({ ...deposit, ...cause })).rejects.toMatchObject(doubtful)
  }
})

test('what is looked for is sought by the consumers of its shard, who are told nothing once there are newer ones', async () => {
  const { host, store } = await open()
  const superseded = new PenholdError('ShardUnavailable', 'there is a newer one', { outcome: 'none', retryable: true })
  const seen: unknown[] = []
  const send: RefHost['send'] = (_to, message, outcome, options) => {
    seen.push({ kind: message.kind, sentIn: options.sentIn, cause: options.cause })
    outcome.reject(superseded)
  }
  const lane = new NodeEffects({ host: { ...smaller(host), send }, store, aggregates: [] }).from(3, 7)
  await expect(lane.ask({ ...deposit, ...cause, after: 5 })).rejects.toMatchObject({ outcome: 'unknown' })
  expect(seen).toEqual([{ kind: 'command', sentIn: { shard: 3, epoch: 7 }, cause: 5 }])
})

/** A host by which hardly anything may be sent. */
function smaller(host: RefHost): RefHost {
  return {
    ids: host.ids,
    commandBytesMax: 1,
    shardOf: (stream) => host.shardOf(stream),
    send: (...sent) => host.send(...sent),
    observe: (position) => host.observe(position),
    onTellFailed: () => undefined,
  }
}
