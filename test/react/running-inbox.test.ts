import { expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import type { InboxMessage } from '../../src/index.ts'
import { Account } from '../account.ts'
import { startInlineNode } from '../node/inline-node.ts'
import { temporaryFolder } from '../temporary.ts'
import { openInbox } from './inbox-bench.ts'

/** What a message says beside what is asked for. */
const MORE = 50_000
const row: readonly InboxMessage[] = ['first', 'nobody', 'away'].map((account, i) => {
  return { id: `${i + 1}`, fields: { account, more: 'x'.repeat(MORE) } }
})

test('what was sent before something was parked, and the place not recorded, takes effect once', async () => {
  const dataDir = temporaryFolder()
  const open = async (isAway: boolean) => {
    const node = await startInlineNode({ dataDir, limits: { dedupeWindow: 2 } })
    const bench = await openInbox({
      node,
      row,
      definition: {
        map: ({ fields: { account } }) => {
          if (account === 'nobody') throw new Error('it is for nobody')
          return { aggregate: Account, id: account!, command: 'deposit', payload: { amount: 1 } }
        },
      },
      ask: async (command, send) => {
        if (!isAway || command.stream !== 'account/away') return await send(command)
        throw new PenholdError('ShardUnavailable', 'it is away', { outcome: 'none', retryable: true })
      },
    })
    const balance = (id: string): Promise<number> => node.ref(Account, id).query('balance')
    return { ...bench, balance }
  }

  const first = await open(true)
  await expect.poll(() => first.balance('first')).toBe(1)
  await expect.poll(async () => (await first.outline()).parked.length).toBe(1)
  await first.running.close()
  for (let n = 0; n < 10; n += 1) await first.node.ref(Account, 'first').ask('deposit', { amount: 1 })
  await first.node.close()

  const second = await open(false)
  const large = () => second.answers.filter(({ bytes }) => bytes >= MORE)
  await expect.poll(() => second.balance('away')).toBe(1)
  expect(await second.balance('first')).toBe(11)
  // What is parked is not read again at each turn.
  await expect.poll(() => second.answers.length).toBeGreaterThan(4)
  expect(large()).toEqual([])
  await second.operate('retry', '2')
  await expect.poll(large).toHaveLength(1)
  expect(second.answers.filter(({ name }) => name === 'message')).toHaveLength(1)
})
