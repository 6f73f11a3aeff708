import { expect, test } from 'vitest'
import { defineCluster, defineProjection, memoryStore, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

test('a node closes though a handler of a projection never ends', async () => {
  const begun = Promise.withResolvers<void>()
  const hangs = defineProjection({
    name: 'hangs',
    from: [Account],
    store: memoryStore(() => ({ rows: new Map<string, number>() })),
    on: {
      MoneyDeposited: () => {
        begun.resolve()
        return new Promise<void>(() => undefined)
      },
    },
  })
  const warnings: string[] = []
  const config = defineCluster({
    name: 'closing',
    aggregates: [Account],
    projections: [hangs],
    dataDir: temporaryFolder(),
    workers: 'inline',
    shards: 4,
    // A disk that stalls is no reason to end the worker.
    timeouts: { stopMs: 10_000 },
    onWarning: (message) => warnings.push(message),
  })
  const node = await startNode(config)
  await node.ref(Account, 'a').ask('deposit', { amount: 1 })
  await begun.promise
  await node.close()
  expect(warnings).toEqual([])
})

test('a node gives its data directory back though a read model cannot be closed', async () => {
  const maps = memoryStore(() => ({ rows: new Map<string, number>() }))
  const store: typeof maps = {
    async open(...asked) {
      const readModel = await maps.open(...asked)
      return Object.assign(readModel, { close: () => Promise.reject(new Error('it cannot be closed')) })
    },
  }
  const on = { MoneyDeposited: () => undefined }
  const unclosable = defineProjection({ name: 'unclosable', from: [Account], store, on })
  const dataDir = temporaryFolder()
  const cluster = { name: 'closing', aggregates: [Account], dataDir, workers: 'inline', shards: 4 } as const
  const node = await startNode(defineCluster({ ...cluster, projections: [unclosable] }))
  await node.projection(unclosable).query(() => 1)
  await expect(node.close()).rejects.toThrow('it cannot be closed')
  await (await startNode(defineCluster(cluster))).close()
})
