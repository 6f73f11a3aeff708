import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, deriveId, isRejection, PenholdError, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { startInlineNode } from './inline-node.ts'
import { Troublesome } from './troublesome.ts'

const none = (code: string): object => ({ code, outcome: 'none' })

describe('what a caller gets wrong is told to it, and nothing happens', () => {
  test('BadPayload: what the schema refuses, and what cannot be stored', async () => {
    const node = await startInlineNode()
    const troublesome = node.ref(Troublesome, '1')
    await expect(troublesome.ask('add', { count: -1 })).rejects.toMatchObject(none('BadPayload'))
    const account = node.ref(Account, '1')
    for (const owner of [new Date(), () => 1, Symbol('x'), new Map(), '\ud800', 2n ** 70n]) {
      const payload = { owner } as unknown as { owner: string }
      await expect(account.ask('open', payload), typeof owner).rejects.toMatchObject(none('BadPayload'))
    }
    await expect(account.ask('open', { owner: 'x' }, { commandId: 'mine' })).rejects.toMatchObject(none('BadPayload'))
    await expect(account.ask('open', { owner: 'x' }, { expectedVersion: -1 })).rejects.toMatchObject(none('BadPayload'))
    await expect(account.ask('open', { owner: 'x' }, { timeoutMs: Infinity })).rejects.toMatchObject(none('BadPayload'))
    await expect(account.state({ atVersion: -1 })).rejects.toMatchObject(none('BadPayload'))
    await expect(account.state({ atVersion: 1, atTime: new Date() })).rejects.toMatchObject({
      ...none('BadPayload'),
      message: expect.stringContaining('atVersion, atTime') as string,
    })
    expect(await account.state()).toEqual(Account.initialState())
  })

  test('UnknownCommand and BadAddress', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    await expect(account.ask('close' as 'open', { owner: 'x' })).rejects.toMatchObject(none('UnknownCommand'))
    await expect(account.ask('constructor' as 'open', { owner: 'x' })).rejects.toMatchObject(none('UnknownCommand'))
    await expect(account.query('color' as 'balance')).rejects.toMatchObject({
      ...none('UnknownCommand'),
      message: "account has no query 'color'; it has balance",
    })
    await expect(account.ask('opne' as 'open', { owner: 'x' })).rejects.toThrow('it has open, deposit, withdraw')
    for (const id of ['', 'a\u0000b', '\ud800', 'e\u0301', 'x'.repeat(600), 7 as unknown as string]) {
      expect(() => node.ref(Account, id)).toThrow(expect.objectContaining(none('BadAddress')))
    }
    for (const id of ['../../etc/passwd', 'a/b', '.', 'ü', '名前', 'x'.repeat(400)]) {
      expect((await node.ref(Account, id).ask('deposit', { amount: 1 })).version).toBe(1)
    }
  })

  test('Rejected: with the code and details of the handler, typed', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    await account.ask('deposit', { amount: 5 })
    const error = await account.ask('withdraw', { amount: 20 }).catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      name: 'Rejected',
      code: 'insufficient-funds',
      details: { balance: 5 },
      outcome: 'none',
    })
    expect(isRejection(error, Account, 'withdraw') && error.details.balance).toBe(5)
  })

  test('ExpectedVersion: a command that was made for another version', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    await account.ask('deposit', { amount: 5 }, { expectedVersion: 0 })
    await expect(account.ask('deposit', { amount: 5 }, { expectedVersion: 0 })).rejects.toMatchObject({
      ...none('ExpectedVersion'),
      details: { expected: 0, actual: 1 },
    })
    expect((await account.ask('deposit', { amount: 5 }, { expectedVersion: 1 })).version).toBe(2)
  })

  test('CommandIdReused: an id that was used with another payload', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    const commandId = deriveId('a', 1)
    const first = await account.ask('deposit', { amount: 5 }, { commandId })
    const again = await account.ask('deposit', { amount: 5 }, { commandId })
    expect(again).toMatchObject({ version: first.version, position: first.position })
    expect(again.events).toEqual(first.events)
    await expect(account.ask('deposit', { amount: 6 }, { commandId })).rejects.toMatchObject(none('CommandIdReused'))
    await expect(account.ask('withdraw', { amount: 5 }, { commandId })).rejects.toMatchObject(none('CommandIdReused'))
    expect(await account.query('balance')).toBe(5)
  })

  test('TooLarge: a payload, an event, or a number of events beyond the limits', async () => {
    const node = await startInlineNode({ limits: { commandBytesMax: 10_000, eventsPerCommandMax: 10 } })
    const troublesome = node.ref(Troublesome, '1')
    await expect(node.ref(Account, '1').ask('open', { owner: 'x'.repeat(20_000) })).rejects.toMatchObject(
      none('TooLarge'),
    )
    await expect(troublesome.ask('blob', { bytes: 20_000 })).rejects.toMatchObject(none('TooLarge'))
    await expect(troublesome.ask('addMany', { times: 11 })).rejects.toMatchObject(none('TooLarge'))
    expect((await troublesome.ask('addMany', { times: 10 })).version).toBe(10)
  })

  test('MailboxFull: more under way than an aggregate takes, or a worker', async () => {
    const node = await startInlineNode({ limits: { mailboxMax: 5, underWayMax: 50 } })
    const account = node.ref(Account, '1')
    const asked = await Promise.allSettled(Array.from({ length: 60 }, () => account.ask('deposit', { amount: 1 })))
    const failures = asked.flatMap((result) => (result.status === 'rejected' ? [result.reason as PenholdError] : []))
    expect(failures.length).toBeGreaterThan(0)
    for (const failure of failures) expect(failure).toMatchObject({ ...none('MailboxFull'), retryable: true })
    expect(await account.query('balance')).toBe(60 - failures.length)
  })

  test('Timeout and Aborted: the caller stops waiting, and asks again with the same id to learn the outcome', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    const commandId = deriveId('late', 1)
    await expect(account.ask('deposit', { amount: 1 }, { commandId, timeoutMs: 0 })).rejects.toMatchObject({
      code: 'Timeout',
      retryable: true,
    })
    expect((await account.ask('deposit', { amount: 1 }, { commandId })).version).toBe(1)
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(account.ask('deposit', { amount: 1 }, { signal })).rejects.toMatchObject(none('Aborted'))
    const controller = new AbortController()
    const asked = account.ask('deposit', { amount: 1 }, { signal: controller.signal })
    controller.abort()
    await expect(asked).rejects.toMatchObject({ code: 'Aborted', outcome: 'unknown' })
  })

  test('NoSuchEvent: a moment that the aggregate never had', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    await account.ask('deposit', { amount: 1 })
    await expect(account.state({ atVersion: 2 })).rejects.toMatchObject(none('NoSuchEvent'))
    await expect(account.state({ atEvent: deriveId('nothing') })).rejects.toMatchObject(none('NoSuchEvent'))
    expect(await account.state({ atVersion: 0 })).toEqual(Account.initialState())
  })

  test('NodeClosed: asked after the node was closed', async () => {
    const node = await startInlineNode()
    const account = node.ref(Account, '1')
    await node.close()
    await expect(account.ask('deposit', { amount: 1 })).rejects.toMatchObject(none('NodeClosed'))
  })
})

describe('what a handler gets wrong costs only its sender', () => {
  test('HandlerFailed: throwing, promising, or returning what is no event', async () => {
    const node = await startInlineNode()
    const troublesome = node.ref(Troublesome, '1')
    await troublesome.ask('add', { count: 3 })
    for (const name of ['fail', 'promise', 'strangeEvent', 'unstorable'] as const) {
      await expect(troublesome.ask(name), name).rejects.toMatchObject(none('HandlerFailed'))
    }
    // What it says travels in one frame with what others are told.
    const [failure, reply] = await Promise.allSettled([
      troublesome.ask('failInHalfACharacter'),
      troublesome.query('items'),
    ])
    expect(failure).toMatchObject({ status: 'rejected', reason: none('HandlerFailed') })
    expect(reply).toEqual({ status: 'fulfilled', value: 3 })
    await expect(troublesome.ask('poison', { how: 'throw' })).rejects.toMatchObject(none('HandlerFailed'))
    await expect(troublesome.query('broken')).rejects.toMatchObject(none('HandlerFailed'))
    // The event's own schema stops what the command's let through.
    await expect(troublesome.ask('add', { count: 5000 })).rejects.toMatchObject(none('HandlerFailed'))
    expect(await troublesome.query('items')).toBe(3)
    expect((await troublesome.ask('add', { count: 1 })).version).toBe(2)
  })

  test('a tell that fails is told to onTellFailed', async () => {
    const failures: string[] = []
    const config = defineCluster({
      name: 'tell',
      aggregates: [Troublesome],
      dataDir: temporaryFolder(),
      shards: 1,
      workers: 'inline',
      onTellFailed: (error, { stream, name }) => failures.push(`${stream} ${name} ${error.code}`),
    })
    await using node = await startNode(config)
    const troublesome = node.ref(Troublesome, '1')
    troublesome.tell('fail')
    troublesome.tell('add', { count: 2 })
    expect(await troublesome.query('items')).toBe(2)
    expect(failures).toEqual(['troublesome/1 fail HandlerFailed'])
  })
})

describe('what is wrong with the data directory or the definitions is told at the start', () => {
  test('DataDirectoryInUse: another process, or this one, works in it', async () => {
    const node = await startInlineNode()
    const { dataDir } = await node.status()
    await expect(startInlineNode({ dataDir })).rejects.toMatchObject({
      code: 'DataDirectoryInUse',
      details: { pid: process.pid },
    })
    await node.close()
    await (await startInlineNode({ dataDir })).close()
  })

  test('DataDirectoryUnusable: a file stands where the folder should be', async () => {
    const file = join(temporaryFolder(), 'file')
    fs.writeFileSync(file, '')
    for (const dataDir of [file, join(file, 'below')]) {
      await expect(startInlineNode({ dataDir })).rejects.toMatchObject(none('DataDirectoryUnusable'))
    }
  })

  test('DataDirectoryUnusable: below a folder of the system that takes no folders', () => {
    // In a process of its own: what is tested is that the call returns.
    const module = new URL('../../src/node/data-directory.ts', import.meta.url).href
    const script = `import { makeDirectory } from '${module}'
      try { makeDirectory('/proc/penhold/below') } catch (error) { console.log(error.code) }`
    const args = ['--input-type=module', '--eval', script]
    expect(execFileSync(process.execPath, args, { timeout: 10_000, encoding: 'utf8' })).toBe('DataDirectoryUnusable\n')
  })

  test('a lock of a process that has ended and was not waited for is taken over', async () => {
    const dataDir = temporaryFolder()
    // The shell becomes a program that never waits, so that its child stays as it ended.
    const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'])
    onTestFinished(() => void parent.kill())
    const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)))
    await expect.poll(() => fs.readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z ')
    const startedAt = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[21]
    fs.writeFileSync(join(dataDir, 'lock'), JSON.stringify({ pid, host: hostname(), startedAt }))
    await (await startInlineNode({ dataDir })).close()
  })

  test('a lock that a dead process left behind is taken over', async () => {
    const dataDir = temporaryFolder()
    fs.writeFileSync(join(dataDir, 'lock'), JSON.stringify({ pid: 2 ** 22 - 1, host: hostname(), startedAt: '1' }))
    await (await startInlineNode({ dataDir })).close()
  })

  test('DataFormat: data of another cluster, another number of shards, another format, or no data at all', async () => {
    const dataDir = temporaryFolder()
    await (await startInlineNode({ dataDir })).close()
    await expect(startInlineNode({ dataDir, shards: 8 })).rejects.toMatchObject({ code: 'DataFormat' })
    const path = join(dataDir, 'cluster.json')
    const identity = JSON.parse(fs.readFileSync(path, 'utf8')) as object
    for (const wrong of [
      { ...identity, name: 'other' },
      { ...identity, format: 99 },
      {},
      'nonsense',
      null,
      { ...identity, name: [{ toString: 0 }] },
    ]) {
      fs.writeFileSync(path, JSON.stringify(wrong))
      await expect(startInlineNode({ dataDir })).rejects.toMatchObject({ code: 'DataFormat' })
    }
  })

  test('LogCorrupt: a shard whose log is damaged refuses, with file and offset; the others serve', async () => {
    const dataDir = temporaryFolder()
    const before = await startInlineNode({ dataDir })
    const ids = Array.from({ length: 20 }, (_, i) => `a${i}`)
    for (const id of ids) await before.ref(Account, id).ask('deposit', { amount: 1 })
    const claimed = (await before.status()).workers[0]!.journal
    await before.close()
    const journal = join(dataDir, 'journals', String(claimed).padStart(8, '0'))
    const segment = join(journal, '000001.log')
    const bytes = fs.readFileSync(segment)
    bytes[Math.floor(bytes.length / 2)]! ^= 4
    fs.writeFileSync(segment, bytes)
    const node = await startInlineNode({ dataDir })
    await expect(node.ref(Account, 'a1').ask('deposit', { amount: 1 })).rejects.toMatchObject({
      ...none('LogCorrupt'),
      details: { path: expect.stringContaining('000001.log') as string, offset: expect.any(Number) as number },
    })
    expect((await node.status()).workers[0]!.refused.length).toBe(4)
  })

  test('LogCorrupt: a journal that is gone, or is no folder of files, is named, and the node starts', async () => {
    const dataDir = temporaryFolder()
    const before = await startInlineNode({ dataDir })
    await before.ref(Account, 'a1').ask('deposit', { amount: 1 })
    await before.close()
    const journal = join(dataDir, 'journals', '00000001')
    fs.renameSync(journal, `${journal}.aside`)
    const error = { ...none('LogCorrupt'), message: expect.stringContaining('journals/00000001') as string }
    const without = await startInlineNode({ dataDir })
    await expect(without.ref(Account, 'a1').ask('deposit', { amount: 1 })).rejects.toMatchObject(error)
    await without.close()
    fs.mkdirSync(join(journal, '000001.log'), { recursive: true })
    const withFolder = await startInlineNode({ dataDir })
    await expect(withFolder.ref(Account, 'a1').query('balance')).rejects.toMatchObject(error)
    await withFolder.close()
    fs.rmSync(journal, { recursive: true })
    fs.renameSync(`${journal}.aside`, journal)
    const mended = await startInlineNode({ dataDir })
    expect(await mended.ref(Account, 'a1').query('balance')).toBe(1)
  })

  test('BadDefinition: events in the log that the code has no path for', async () => {
    const dataDir = temporaryFolder()
    const v1 = defineAggregate({
      type: 'thing',
      initialState: () => 0,
      events: { Made: (_state, { n }: { n: number }) => n },
      commands: { make: (_state, { n }: { n: number }, { emit }) => emit.Made({ n }) },
    })
    const start = (aggregate: typeof v1) =>
      startNode(defineCluster({ name: 'x', aggregates: [aggregate], dataDir, shards: 2, workers: 'inline' }))
    const node = await start(v1)
    await node.ref(v1, '1').ask('make', { n: 4 })
    await node.close()
    const renamed = defineAggregate({
      type: 'thing',
      initialState: () => 0,
      events: { Created: (_state, { n }: { n: number }) => n },
      commands: {},
    })
    await expect(start(renamed as never)).rejects.toMatchObject({
      code: 'BadDefinition',
      message: expect.stringContaining("'Made'") as string,
    })
    const mended = defineAggregate({
      type: 'thing',
      initialState: () => ({ count: 0 }),
      stateVersion: 2,
      events: { Created: (_state, { count }: { count: number }) => ({ count }) },
      commands: {},
      renamedEvents: { Made: 'Created' },
      upcasters: { Created: [({ n }: { n: number }) => ({ count: n })] },
      queries: { count: (state) => state.count },
    })
    const after = await start(mended as never)
    expect(await after.ref(mended, '1').query('count')).toBe(4)
    await after.close()
  })

  test('BadDefinition: definitions that cannot work', () => {
    const base = { type: 'x', initialState: () => 0, events: {}, commands: {} }
    for (const wrong of [
      { ...base, type: 'a/b' },
      { ...base, snapshotEvery: 0 },
      { ...base, stateVersion: 0 },
      { ...base, schemas: { nothing: Troublesome.schemas.add } },
      { ...base, upcasters: { Nothing: [() => 1] } },
      { ...base, renamedEvents: { Old: 'Nothing' } },
      undefined,
      { ...base, type: ['x'] },
      { ...base, initialState: {} },
      { ...base, events: null },
      { ...base, commands: { add: 1 } },
      { ...base, commands: { toString: () => undefined } },
      { ...base, commands: { add: () => undefined }, schemas: { add: {} } },
      { ...base, events: { Added: () => 1 }, upcasters: { Added: [1] } },
      { ...base, snapshotEvery: Object.create(null) as unknown },
    ]) {
      expect(() => defineAggregate(wrong as never)).toThrow(expect.objectContaining({ code: 'BadDefinition' }))
    }
    const cluster = { name: 'x', aggregates: [Account], dataDir: 'd' }
    for (const wrong of [
      { ...cluster, name: '' },
      { ...cluster, name: Symbol('x') as never },
      { ...cluster, aggregates: [null] as never },
      { ...cluster, aggregates: [{ type: 'x' }] as never },
      { ...cluster, limits: 5 as never },
      { ...cluster, onWarning: 'w' as never },
      { ...cluster, shards: Object.create(null) as never },
      { ...cluster, aggregates: [Account, Account] },
      { ...cluster, workers: 0 },
      { ...cluster, shards: 1.5 },
      { ...cluster, limits: { mailboxMax: 0 } },
      { ...cluster, timeouts: { askMs: -1 } },
    ]) {
      expect(() => defineCluster(wrong)).toThrow(expect.objectContaining({ code: 'BadDefinition' }))
    }
  })

  test('BadDefinition: a setting that does not exist, with the nearest that does', async () => {
    const cluster = { name: 'x', aggregates: [Account], dataDir: 'd' }
    const define = (more: object) => () => defineCluster({ ...cluster, ...more })
    expect(define({ datadir: 'e' })).toThrow("no setting 'datadir'; the nearest is 'dataDir'")
    expect(define({ limits: { mailboxMx: 1 } })).toThrow(
      "no setting 'limits.mailboxMx'; the nearest is 'limits.mailboxMax'",
    )
    expect(define({ timeouts: { handlerms: 1 } })).toThrow(
      "no setting 'timeouts.handlerms'; the nearest is 'timeouts.handlerMs'",
    )
    await expect(startInlineNode({ worker: 2 } as object)).rejects.toMatchObject({
      code: 'BadDefinition',
      message: expect.stringContaining("no setting 'worker'; the nearest is 'workers'") as string,
    })
  })
})
