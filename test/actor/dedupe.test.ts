import { expect, test } from 'vitest'
import type { Reply } from '../../src/actor/message.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
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
