import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
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
    for (const moment of [{ atVersion: -1 }, null, 3, 'now']) {
      await expect(account.state(moment as never), JSON.stringify(moment)).rejects.toMatchObject(none('BadPayload'))
    }
    await expect(account.state({ atVersion: 1, atTime: new Date() })).rejects.toMatchObject({
      ...none('BadPayload'),
      message: expect.stringContaining('atVersion, atTime') as string,
    })
    expect(await account.state()).toEqual(Account.initialState())
  })

  test('what is sent is what the caller gave, whatever becomes of it afterwards', async () => {
    const node = await startInlineNode()
    const payload = { amount: 1 }
    const account = node.ref(Account, 'sent')
    await account.ask('open', { owner: 'x' })
    const asked = [1, 2, 3].map((amount) => {
      payload.amount = amount
      return account.ask('deposit', payload)
    })
    const replies = await Promise.all(asked)
    expect(replies.map(({ events }) => events[0]?.data)).toEqual([{ amount: 1 }, { amount: 2 }, { amount: 3 }])
    // Keys that mean something to some encoders.
    const owner = { constructor: 1, toJSON: 1 } as never
    await node.ref(Account, 'odd').ask('open', { owner })
    expect(await node.ref(Account, 'odd').state()).toMatchObject({ opened: true })
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
    expect(isRejection(error) && error.code).toBe('insufficient-funds')
    expect(isRejection(new PenholdError('Timeout', 'late', { outcome: 'unknown', retryable: true }))).toBe(false)
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

  test('a command whose schema adds something new each time is the same command when it is asked again', async () => {
    const Note = defineAggregate({
      type: 'note',
      initialState: (): readonly string[] => [],
      schemas: { add: z.object({ text: z.string(), key: z.string().default(() => randomUUID()) }) },
      events: { Added: (notes, { key }: { key: string }) => [...notes, key] },
      commands: { add: (_notes, { key }: { text: string; key: string }, { emit }) => emit.Added({ key }) },
      queries: { notes: (notes) => notes },
    })
    const config = { name: 'notes', aggregates: [Note], dataDir: temporaryFolder(), workers: 'inline' } as const
    await using node = await startNode(defineCluster(config))
    const note = node.ref(Note, '1')
    const commandId = deriveId('a', 1)
    const first = await note.ask('add', { text: 'x' }, { commandId })
    const again = await note.ask('add', { text: 'x' }, { commandId })
    expect(again.events).toEqual(first.events)
    expect(await note.query('notes')).toHaveLength(1)
    await expect(note.ask('add', { text: 'y' }, { commandId })).rejects.toMatchObject(none('CommandIdReused'))
  })

  test('TooLarge: a payload, an event, or a number of events beyond the limits', async () => {
    const node = await startInlineNode({ limits: { commandBytesMax: 16_384, eventsPerCommandMax: 10 } })
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
    // Sent at the end of the turn: before, nobody but its caller knows of it.
    controller.abort()
    await expect(asked).rejects.toMatchObject(none('Aborted'))
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

  test('HandlerFailed: making an event or a rejection, and not returning it', async () => {
    const node = await startInlineNode()
    const troublesome = node.ref(Troublesome, '1')
    for (const [what, problem] of [
      ['event', "it made the event 'Added' and did not return it"],
      ['one', "it made the event 'Added' and did not return it"],
      ['rejection', "it made the rejection 'unheard' and did not return it"],
    ] as const) {
      await expect(troublesome.ask('forget', { what })).rejects.toMatchObject({
        ...none('HandlerFailed'),
        message: expect.stringContaining(problem) as string,
      })
    }
    expect((await troublesome.ask('forget', { what: 'nothing' })).version).toBe(1)
    await expect(troublesome.ask('thinkBetter')).rejects.toMatchObject(none('better-not'))
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
