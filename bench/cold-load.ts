/**
 * L: the first query to an account with 10,000 events that is not in memory. The node may hold one actor at a time, so
 * that a query to another account sends the long one back to the log.
 */
import assert from 'node:assert/strict'
import { startNode } from '../src/index.ts'
import { Account } from './account.ts'
import { childInput, reply, runChild } from './child.ts'
import { accountId, LONG_ACCOUNTS, type Dataset } from './dataset.ts'
import { atMost, say, type Row } from './report.ts'
import { Sample } from './sample.ts'

const WARM_UP_LOADS = 20
const LOADS = 50

interface ColdLoad {
  readonly balance: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function measureColdLoads(dataset: Dataset): Promise<Row[]> {
  say('L: cold loads of long accounts')
  const loads = await dataset.withClone((dataDir) => runChild<readonly ColdLoad[]>(import.meta.url, { dataDir }))
  const balances = loads.map(({ balance }) => balance)
  assert.deepEqual(balances, dataset.facts.longBalances, 'the long accounts are not what was written')
  return LONG_ACCOUNTS.map(({ aggregate, events, isContiguous }, i): Row => {
    const { p50Ms, p99Ms } = loads[i]!
    const hasSnapshots = aggregate.snapshotEvery !== false
    const bound = hasSnapshots ? 1.5 : 15
    const where = isContiguous ? 'in a row' : 'spread over the log'
    const what = `cold load, ${events.toLocaleString('en')} events ${where}, ${hasSnapshots ? 'snapshots' : 'no snapshots'}`
    const figure = { kind: 'time', ms: p50Ms } as const
    return { id: 'L', what, figure, target: atMost(p50Ms, bound, `${bound} ms`), details: { p99Ms, events } }
  })
}

async function run(dataDir: string): Promise<void> {
  const limits = { activeActorsMax: 1 }
  await using node = await startNode(new URL('bank.config.ts', import.meta.url), { dataDir, limits })
  const loads: ColdLoad[] = []
  for (const { aggregate, id } of LONG_ACCOUNTS) {
    const times = new Sample()
    let balance = NaN
    for (let load = 0; load < WARM_UP_LOADS + LOADS; load += 1) {
      await node.ref(Account, accountId(load)).query('balance')
      const startMs = performance.now()
      balance = await node.ref(aggregate, id).query('balance')
      if (load >= WARM_UP_LOADS) times.add(performance.now() - startMs)
    }
    loads.push({ balance, p50Ms: times.percentile(50), p99Ms: times.percentile(99) })
  }
  reply(loads)
}

if (import.meta.main) await run(childInput<{ readonly dataDir: string }>().dataDir)
