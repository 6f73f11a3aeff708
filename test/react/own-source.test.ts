import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineInbox, type InboxMessage, type InboxSource } from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const Account = defineAggregate({
  type: 'account',
  initialState: () => 0,
  events: { Deposited: (euros, deposit: { euros: number }) => euros + deposit.euros },
  commands: { deposit: (_euros, deposit: { euros: number }, { emit }) => emit.Deposited(deposit) },
})

/** A row in memory, which answers at once, also that there is nothing. */
function rowOf(messages: InboxMessage[]): InboxSource & { readonly reads: () => number } {
  let reads = 0
  return {
    name: 'row',
    reads: () => reads,
    open: () => ({
      place: (where) => {
        const count = where === 'now' ? messages.length : 0
        return Promise.resolve({ id: `${count}`, count })
      },
      read: ({ count }, limit) => {
        reads += 1
        const some = messages.slice(count, count + limit)
        const end = count + some.length
        return Promise.resolve({ messages: some, place: { id: `${end}`, count: end }, lost: 0 })
      },
      close: () => Promise.resolve(),
    }),
  }
}

test('a source that says at once that there is nothing is asked some twenty times a second, and what comes then is taken', async () => {
  const row: InboxMessage[] = []
  const source = rowOf(row)
  const inbox = defineInbox({
    name: 'deposits',
    startAt: 'beginning',
    source,
    to: [Account],
    map: ({ fields: { account } }) => ({ aggregate: Account, id: account!, command: 'deposit', payload: { euros: 1 } }),
  })
  const config = { name: 'own', aggregates: [Account], inboxes: [inbox], dataDir: 'none' }
  await using node = await startVirtualNode(defineCluster(config))
  await node.pass(5_000)
  const before = source.reads()
  await node.pass(1_000)
  expect(source.reads() - before).toBeGreaterThan(10)
  expect(source.reads() - before).toBeLessThan(30)
  row.push({ id: '1', fields: { account: 'a' } })
  await node.pass(1_000)
  expect(await node.ref(Account, 'a').state()).toBe(1)
})

test('a mapper cannot change what is parked of a message', async () => {
  const inbox = defineInbox({
    name: 'deposits',
    startAt: 'beginning',
    source: rowOf([{ id: '1', fields: { account: 'a', euros: 'many' } }]),
    to: [Account],
    map: ({ fields }) => {
      delete (fields as Record<string, string>)['euros']
      throw new Error('no number')
    },
  })
  const config = { name: 'own', aggregates: [Account], inboxes: [inbox], dataDir: 'none' }
  await using node = await startVirtualNode(defineCluster(config))
  await node.pass(5_000)
  expect(await node.inbox(inbox).parked()).toMatchObject([{ fields: { account: 'a', euros: 'many' } }])
})
