/**
 * C: commands to random ones of a million accounts, one in flight. Each finds its account on disk alone: its newest
 * record is looked up, its few events are read and folded, and the new one is synced.
 */
import { startNode } from '../src/index.ts'
import { Account } from './account.ts'
import { childInput, reply, runChild } from './child.ts'
import { accountId, LONG_ACCOUNTS, type Dataset } from './dataset.ts'
import { createRandom } from './random.ts'
import { atMost, say, type Row } from './report.ts'
import { collectGarbage, Sample } from './sample.ts'

export interface ColdCommandOptions {
  readonly seconds: number
  readonly warmUpSeconds: number
}

interface Input extends ColdCommandOptions {
  readonly dataDir: string
  readonly accounts: number
}

interface ColdCommands {
  readonly commands: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Of the commands of the warm-up, right after the start. */
  readonly warmUpP99Ms: number
}

export async function measureColdCommands(dataset: Dataset, options: ColdCommandOptions): Promise<Row[]> {
  say('C: cold commands')
  const accounts = dataset.facts.aggregates - LONG_ACCOUNTS.length
  const measured = await dataset.withClone((dataDir) =>
    runChild<ColdCommands>(import.meta.url, { ...options, dataDir, accounts } satisfies Input),
  )
  const { p50Ms, p99Ms, ...details } = measured
  const what = `commands to random ones of ${dataset.facts.aggregates.toLocaleString('en')} cold accounts, 1 in flight`
  const figure = { kind: 'latency', p50Ms, p99Ms } as const
  return [{ id: 'C', what, figure, target: atMost(p99Ms, 5, 'p99 5 ms'), details }]
}

async function run({ dataDir, accounts, seconds, warmUpSeconds }: Input): Promise<void> {
  await using node = await startNode(new URL('bank.config.ts', import.meta.url), { dataDir })
  const random = createRandom(2)
  const used = new Set<number>()
  const deposit = async (times: Sample, endMs: number): Promise<void> => {
    while (performance.now() < endMs && used.size < accounts) {
      const account = Math.floor(random() * accounts)
      if (used.has(account)) continue
      used.add(account)
      const sentMs = performance.now()
      await node.ref(Account, accountId(account)).ask('deposit', { amount: 1 })
      times.add(performance.now() - sentMs)
    }
  }
  const warmUp = new Sample()
  await deposit(warmUp, performance.now() + warmUpSeconds * 1_000)
  collectGarbage()
  const times = new Sample()
  await deposit(times, performance.now() + seconds * 1_000)
  const [p50Ms, p99Ms, maxMs] = [times.percentile(50), times.percentile(99), times.percentile(100)]
  reply({ commands: times.count, p50Ms, p99Ms, maxMs, warmUpP99Ms: warmUp.percentile(99) } satisfies ColdCommands)
}

if (import.meta.main) await run(childInput<Input>())
