/** A publisher, or an inbox's source, of somebody else's that never says that it is closed, or fails to. */
import { expect, test } from 'vitest'
import { defineCluster, defineInbox, defineOutbox, startNode, type ClusterConfig } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

const hangs = (): Promise<never> => new Promise(() => undefined)
const rejects = async (): Promise<never> => await Promise.reject(new Error('its connection is gone'))
const throws = (): never => {
  throw new Error('its connection is gone')
}

function withSource(close: () => Promise<void>): Partial<ClusterConfig> {
  const source = {
    name: 'row',
    open: () => ({
      place: async () => ({ id: '', count: 0 }),
      read: async () => ({ messages: [], place: { id: '', count: 0 }, lost: 0 }),
      close,
    }),
  }
  return { inboxes: [defineInbox({ name: 'payments', source, startAt: 'now', to: [Account], map: () => undefined })] }
}

function withPublisher(close: () => Promise<void>, name = 'deposits'): Partial<ClusterConfig> {
  const publisher = { open: () => ({ publish: async () => undefined, close }) }
  const map = { MoneyDeposited: () => undefined }
  return { outboxes: [defineOutbox({ name, startAt: 'now', from: [Account], map, publisher })] }
}

function configOf(more: Partial<ClusterConfig>): ClusterConfig {
  const dataDir = temporaryFolder()
  return defineCluster({ name: 'closes', aggregates: [Account], dataDir, shards: 4, workers: 'inline', ...more })
}

test.each([
  ['a source hangs', withSource(hangs), undefined],
  ['a source rejects', withSource(rejects), 'inbox payments could not be let go of'],
  ['a source throws', withSource(throws), 'inbox payments could not be let go of'],
  ['a publisher hangs', withPublisher(hangs), undefined],
  ['a publisher rejects', withPublisher(rejects), 'outbox deposits could not close its publisher'],
  ['a publisher throws', withPublisher(throws), 'outbox deposits could not close its publisher'],
])('a node is closed though %s when it is to be closed', async (_what, more, told) => {
  const warnings: string[] = []
  const config = configOf({ ...more, onWarning: (message) => void warnings.push(message) })
  const node = await startNode(config)
  await node.ref(Account, 'anna').ask('deposit', { amount: 1 })
  await node.close()
  expect(warnings).toEqual(told === undefined ? [] : [`${told}: Error: its connection is gone`])
  const next = await startNode(config)
  expect(await next.ref(Account, 'anna').query('balance')).toBe(1)
  await next.close()
})

test('where one publisher fails when it is to be closed, the others are closed', async () => {
  const closed: string[] = []
  const note = async (): Promise<void> => void closed.push('transfers')
  const outboxes = [withPublisher(throws), withPublisher(note, 'transfers')].flatMap((some) => some.outboxes ?? [])
  const node = await startNode(configOf({ outboxes, onWarning: () => undefined }))
  await node.close()
  expect(closed).toEqual(['transfers'])
})
