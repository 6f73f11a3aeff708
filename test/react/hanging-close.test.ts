/** A publisher, or an inbox's source, of somebody else's that never says that it is closed. */
import { expect, test } from 'vitest'
import { defineCluster, defineInbox, defineOutbox, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

const hangs = (): Promise<never> => new Promise(() => undefined)
const row = {
  name: 'row',
  open: () => ({
    place: async () => ({ id: '', count: 0 }),
    read: async () => ({ messages: [], place: { id: '', count: 0 }, lost: 0 }),
    close: hangs,
  }),
}
const payments = defineInbox({ name: 'payments', source: row, startAt: 'now', to: [Account], map: () => undefined })
const deposits = defineOutbox({
  name: 'deposits',
  startAt: 'now',
  from: [Account],
  map: { MoneyDeposited: () => undefined },
  publisher: { open: () => ({ publish: async () => undefined, close: hangs }) },
})

test.each([
  ['a source', { inboxes: [payments] }],
  ['a publisher', { outboxes: [deposits] }],
])('a node is closed though %s of its config never is', async (_what, more) => {
  const dataDir = temporaryFolder()
  const config = defineCluster({ name: 'hangs', aggregates: [Account], dataDir, shards: 4, workers: 'inline', ...more })
  const node = await startNode(config)
  await node.ref(Account, 'anna').ask('deposit', { amount: 1 })
  await node.close()
  const next = await startNode(config)
  expect(await next.ref(Account, 'anna').query('balance')).toBe(1)
  await next.close()
})
