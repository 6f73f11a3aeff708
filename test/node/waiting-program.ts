/**
 * A program of an inline node that waits for what does not come until the node is closed, by a timer that keeps no process
 * alive: `<dataDir> <what>`.
 */
import { defineCluster, defineProjection, memoryStore, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'

const [, , dataDir, what] = process.argv
const Nothing = defineProjection({
  name: 'nothing',
  from: [Account],
  store: memoryStore(() => ({ none: new Map<string, number>() })),
  on: { MoneyDeposited: () => undefined },
})
const projections = what === 'query' ? [Nothing] : []
const config = defineCluster({
  name: 'waits',
  aggregates: [Account],
  projections,
  dataDir: dataDir!,
  workers: 'inline',
})
const node = await startNode(config)
const say = (word: string) => process.stdout.write(`${word}\n`)
const closeSoon = () => void setTimeout(() => void node.close().then(() => say('closed')), 500).unref()
const take = ({ type }: { readonly type: string }) => {
  say(type)
  closeSoon()
}
const { position } = await node.ref(Account, 'a').ask('deposit', { amount: 1 })
if (what === 'everything') for await (const event of node.store.subscribe()) take(event)
if (what === 'stream') for await (const event of node.store.subscribe({ stream: 'account/a' })) take(event)
if (what === 'handler') await node.store.subscribe({}, take).closed
if (what === 'nothing') closeSoon()
if (what === 'query') {
  closeSoon()
  const asked = node.projection(Nothing).query(() => 1, { after: position + 2 ** 40 })
  await asked.catch(({ code }: { code: string }) => say(code))
}
