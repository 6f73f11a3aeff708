/** What is done by hand with what an inbox has parked, while it works, and what it says of that. */
import { expect, test } from 'vitest'
import type { Effects, SentCommand, SentOutcome } from '../../src/react/effects.ts'
import { Account } from '../account.ts'
import { openInbox, type InboxBench } from './inbox-bench.ts'

const row = [
  { id: '1', fields: { amount: '-5' } },
  { id: '2', fields: { amount: '7' } },
]

test('what is skipped while it is tried again stays skipped, and nothing waits behind it', async () => {
  let bench: InboxBench | undefined
  let isAsked = false
  const ask = async (command: SentCommand, send: Effects['ask']): Promise<SentOutcome> => {
    if (command.name !== 'withdraw' || !isAsked) return await send(command)
    const outcome = await send(command)
    isAsked = false
    await bench!.operate('skip', '1')
    return outcome
  }
  bench = await openInbox({ row, ask })
  const { node, outline, operate, warnings } = bench
  await expect.poll(async () => (await outline()).place?.id).toBe('2')
  expect((await outline()).parked.map(({ id }) => id)).toEqual(['1', '2'])
  warnings.splice(0)
  isAsked = true
  await operate('retry', '1')
  await expect.poll(() => node.ref(Account, 'anna').query('balance')).toBe(7)
  expect((await outline()).parked).toEqual([])
  expect(warnings).toEqual([])
})

test('an inbox that halts by now says of what waits behind a parked message that it does so', async () => {
  const first = await openInbox({ row: row.slice(0, 1) })
  await expect.poll(async () => (await first.outline()).place?.id).toBe('1')
  await first.running.close()
  const { running, outline, operate } = await openInbox({ row, node: first.node, definition: { onFailure: 'halt' } })
  await expect
    .poll(() => running.trouble)
    .toContain('message 2, and tries it again: it waits behind one that is parked, until')
  await operate('skip', '1')
  await expect.poll(async () => (await outline()).place?.id).toBe('2')
})

test.for(['nobody knew', 'was somebody else'])(
  'a retry of a message for somebody whom %s before tells of that message',
  async (who) => {
    const map = (isMended: boolean) => ({
      map: ({ id }: { readonly id: string }) => {
        const isWrong = id === '2' && !isMended
        if (isWrong && who === 'nobody knew') throw new Error('whom it is for cannot be told')
        const account = isWrong ? 'ben' : 'anna'
        return { aggregate: Account, id: account, command: 'withdraw', payload: { amount: 5 } } as const
      },
    })
    const come = row.slice(0, 1)
    const first = await openInbox({ row: come, definition: map(false) })
    await expect.poll(async () => (await first.outline()).place?.id).toBe('1')
    come.push(row[1]!)
    await expect.poll(async () => (await first.outline()).place?.id).toBe('2')
    await first.running.close()
    const { operations } = await openInbox({ row, node: first.node, definition: map(true) })
    expect(await operations.retry('2')).toEqual({ failed: { id: '2', reason: 'rejected: insufficient-funds' } })
  },
)
