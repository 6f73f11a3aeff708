import { expect, test } from 'vitest'
import { DedupeWindow, needsWindow, readWindow } from '../../src/actor/dedupe-window.ts'
import type { CommandMessage, Reply } from '../../src/actor/message.ts'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
import { RecordKind, type LogRecord } from '../../src/log/record.ts'
import type { Slice } from '../../src/log/slice.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { deposit, open } from './harness.ts'

test('a repeated command id gets the first outcome, also after a restart, and after a rejection', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const commandId = parseId(deriveId('mine'))
  const asked = { ...deposit('account/1', 5), commandId, isFresh: false }
  const first = await open(disk, clock)
  const reply = await first.ask(asked)
  expect(reply).toMatchObject({ kind: 'accepted', version: 1 })
  await first.ask(deposit('account/1', 7))
  expect(await first.ask(asked)).toMatchObject({ kind: 'accepted', version: 1 })
  const refused = { stream: 'account/1', name: 'withdraw', payload: { amount: 99 }, isFresh: false }
  const refusedId = parseId(deriveId('refused'))
  expect(await first.ask({ ...refused, commandId: refusedId })).toMatchObject({
    kind: 'rejected',
    details: { balance: 12 },
  })
  await first.ask(deposit('account/1', 100))
  expect(await first.ask({ ...refused, commandId: refusedId })).toMatchObject({
    kind: 'rejected',
    details: { balance: 12 },
  })
  await first.worker.close()
  const second = await open(disk, clock)
  expect(await second.ask(asked)).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await second.ask({ ...asked, payloadHash: 1 })).toMatchObject({ failure: { code: 'CommandIdReused' } })
  expect(await second.query('account/1', 'balance')).toEqual({ kind: 'answered', value: 112 })
})

test('a first copy that comes late, behind one that was sent again by its id through another node, has no effect', async () => {
  const { ask } = await open(new SimulatedDisk(), new SimulatedClock())
  const commandId = parseId(deriveId('told by the error'))
  const first = { ...deposit('account/1', 5), commandId, isFresh: true }
  await ask(deposit('account/1', 1))
  expect(await ask({ ...first, isFresh: false })).toMatchObject({ kind: 'accepted', version: 2 })
  expect(await ask(first)).toMatchObject({ kind: 'accepted', version: 2 })
  const refused = { stream: 'account/1', name: 'withdraw', payload: { amount: 99 } }
  const again = { ...refused, commandId: parseId(deriveId('refused')), isFresh: false }
  expect(await ask(again)).toMatchObject({ kind: 'rejected' })
  await ask(deposit('account/1', 100))
  expect(await ask({ ...again, isFresh: true })).toMatchObject({ kind: 'rejected' })
})

test('so it is where a handler of its aggregate has thrown meanwhile', async () => {
  const Counter = defineAggregate({
    type: 'counter',
    initialState: () => 0,
    events: { Counted: (count) => count + 1 },
    commands: {
      count: (_count, _none: undefined, { emit }) => emit.Counted(),
      fail: () => {
        throw new Error('its author is on holiday')
      },
    },
    queries: { count: (count) => count },
  })
  const { ask, query } = await open(new SimulatedDisk(), new SimulatedClock(), { aggregates: [Counter] })
  const first = { stream: 'counter/1', name: 'count', payload: undefined, commandId: parseId(deriveId('mine')) }
  expect(await ask({ ...first, isFresh: false })).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await ask({ stream: 'counter/1', name: 'fail', payload: undefined })).toMatchObject({
    failure: { code: 'HandlerFailed' },
  })
  expect(await ask({ ...first, isFresh: true })).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await query('counter/1', 'count')).toEqual({ kind: 'answered', value: 1 })
})

test('what consumers send again after a rejection is decided anew, and takes effect once; what a router sends again is not', async () => {
  const { ask } = await open(new SimulatedDisk(), new SimulatedClock())
  const caused = {
    name: 'withdraw',
    stream: 'account/1',
    isFresh: false,
    isAgain: true,
    sentIn: { shard: 0, epoch: 0 },
  }
  const withdraw = { ...caused, payload: { amount: 5 }, commandId: parseId(deriveId('caused')) }
  expect(await ask(withdraw)).toMatchObject({ kind: 'rejected' })
  const otherwise = { ...withdraw, payload: { amount: 7 }, payloadHash: 1 }
  expect(await ask({ ...otherwise, sentIn: undefined })).toMatchObject({
    failure: { code: 'CommandIdReused', details: { hasTakenEffect: false } },
  })
  // Nothing stands for it, so that it may say something else.
  expect(await ask(otherwise)).toMatchObject({ kind: 'rejected' })
  await ask(deposit('account/1', 8))
  expect(await ask({ ...otherwise, sentIn: undefined })).toMatchObject({ kind: 'rejected' })
  expect(await ask(withdraw)).toMatchObject({ kind: 'accepted', version: 2 })
  expect(await ask(withdraw)).toMatchObject({ kind: 'accepted', version: 2 })
  expect(await ask(otherwise)).toMatchObject({
    failure: { code: 'CommandIdReused', details: { hasTakenEffect: true } },
  })
})

test('what came to nothing may say something else when a consumer sends it again, and is answered as it was otherwise', async () => {
  const { ask } = await open(new SimulatedDisk(), new SimulatedClock())
  const caused = { name: 'open', stream: 'account/1', isFresh: false, isAgain: true, sentIn: { shard: 0, epoch: 0 } }
  const opening = { ...caused, payload: { owner: 'Ada' }, commandId: parseId(deriveId('opening')) }
  await ask({ ...opening, commandId: parseId(deriveId('before')) })
  const nothing = { kind: 'accepted', version: 1 }
  expect(await ask(opening)).toMatchObject(nothing)
  expect(await ask(opening)).toMatchObject(nothing)
  const otherwise = { ...opening, payload: { owner: 'Bo' }, payloadHash: 1 }
  expect(await ask({ ...otherwise, sentIn: undefined })).toMatchObject({ failure: { code: 'CommandIdReused' } })
  expect(await ask(otherwise)).toMatchObject(nothing)
})

test('what is sent again finds what it did, however many commands came after it and whatever the window (I5)', async () => {
  const disk = new SimulatedDisk()
  const clock = new SimulatedClock()
  const limits = { dedupeWindow: 3 }
  const ids = Array.from({ length: 12 }, (_, i) => parseId(deriveId('again', i)))
  const first = await open(disk, clock, { limits })
  for (const commandId of ids) await first.ask({ ...deposit('account/1', 1), commandId })
  await first.worker.close()

  const second = await open(disk, clock, { limits })
  const again = (commandId: Slice): Promise<Reply> =>
    second.ask({ ...deposit('account/1', 1), commandId, isFresh: false, isAgain: true })
  // One of the caller's own comes first, for which a window of three is enough.
  await second.ask({ ...deposit('account/1', 1), commandId: parseId(deriveId('mine')), isFresh: false })
  const replies = await Promise.all(ids.map(again))
  expect(replies.map((reply) => reply.kind === 'accepted' && reply.version)).toEqual(ids.map((_, i) => i + 1))
  // Others write in between, until the window has lost the oldest of those that are yet to come again.
  for (let i = 0; i < 8; i += 1) {
    const commandId = parseId(deriveId('other', i))
    await second.ask({ ...deposit('account/1', 1), commandId, isFresh: false })
  }
  expect(await again(ids[0]!)).toMatchObject({ kind: 'accepted', version: 1 })
  expect(await second.query('account/1', 'balance')).toEqual({ kind: 'answered', value: 12 + 1 + 8 })
  await second.worker.close()
})

test('commands whose cause is long past are looked for in the log only where they are most likely there', async () => {
  const idOf = (n: number): Slice => parseId(deriveId('caused', n))
  const record = (n: number): LogRecord => {
    return { kind: RecordKind.event, commandId: idOf(n), payloadHash: n, version: n, position: 100 + n } as LogRecord
  }
  const sent = (n: number): CommandMessage => {
    return { isFresh: false, isAgain: true, since: 50, commandId: idOf(n) } as CommandMessage
  }
  const newestFirst = Array.from({ length: 15_000 }, (_, i) => record(15_000 - i))
  const sought = new Set<string>()
  const window = await readWindow(newestFirst, { commandsMax: 3, since: 50, sought })
  expect(window.find(idOf(14_999))).toMatchObject({ firstVersion: 14_999 })
  expect(needsWindow(window, sent(7)), 'it was one of those').toBe(true)
  let readings = 0
  for (let n = 20_000; n < 30_000; n += 1) {
    if (needsWindow(window, sent(n))) readings += 1
    const versions = { firstVersion: n, lastVersion: n, position: 100 + n }
    window.add(idOf(n), { ...versions, payloadHash: n, reply: undefined, last: record(n).address })
  }
  expect(readings).toBeLessThan(20)
  // What it has lost it does not forget.
  for (let n = 20_000; n < 29_000; n += 1) expect(needsWindow(window, sent(n))).toBe(true)
  // Nor does it know what was before it began.
  expect(new DedupeWindow(3, 1_000).knows(idOf(1), 999)).toBe(false)

  const key = Buffer.from(idOf(7).bytes).subarray(idOf(7).start, idOf(7).end).toString('latin1')
  const found = await readWindow(newestFirst, { commandsMax: 3, since: 50, sought: new Set([key]) })
  expect(found.find(idOf(7))).toMatchObject({ firstVersion: 7 })
  expect(needsWindow(found, sent(7))).toBe(false)
})

test('what was looked for in vain, and came then, is looked for again once others have come behind it', async () => {
  const idOf = (n: number): Slice => parseId(deriveId('late', n))
  const sent = { isFresh: false, isAgain: true, since: 50, commandId: idOf(0) } as CommandMessage
  const { bytes, start, end } = idOf(0)
  const key = Buffer.from(bytes).subarray(start, end).toString('latin1')
  const window = await readWindow([], { commandsMax: 3, since: 50, sought: new Set([key]) })
  expect(needsWindow(window, sent)).toBe(false)
  const remembered = { payloadHash: 1, reply: undefined, last: { journal: 1, segment: 1, offset: 0 } }
  for (let n = 0; n < 11_000; n += 1) {
    window.add(idOf(n), { ...remembered, firstVersion: n + 1, lastVersion: n + 1, position: 100 + n })
  }
  for (let n = 11_000; window.find(idOf(0)) !== undefined; n += 1) {
    window.add(idOf(n), { ...remembered, firstVersion: n + 1, lastVersion: n + 1, position: 100 + n })
  }
  expect(needsWindow(window, sent), 'it has taken effect').toBe(true)
})
