/**
 * P: a read model in SQLite, made of everything by a node that has just started, through its own engine and store; made
 * anew beside the live one; and what the latter does to commands, which the same node answers meanwhile. What comes out is
 * compared with what was written.
 */
import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { startNode, type Node } from '../src/index.ts'
import { childInput, reply, runChild } from './child.ts'
import { Accounts, Branches, type Totals } from './counters.ts'
import { customersOf, drive, openAccounts } from './customer.ts'
import type { Dataset } from './dataset.ts'
import { createRandom } from './random.ts'
import { atLeast, say, type Row } from './report.ts'
import { collectGarbage, type Figures } from './sample.ts'

const PER_SECOND = 100_000
const CUSTOMERS = 1_000
const IN_FLIGHT = 256
const LOOK_MS = 10
const PATIENCE_MS = 30 * 60_000

export interface ProjectionOptions {
  readonly seconds: number
  readonly warmUpSeconds: number
}

interface Input extends ProjectionOptions {
  readonly dataDir: string
  readonly what: 'branches' | 'accounts'
}

/** Commands, and how long the thread that answers them was held at a time. */
interface Asked extends Figures {
  readonly heldP99Ms: number
  readonly heldMaxMs: number
}

interface Projected {
  readonly totals: Totals
  readonly perSecond: number
  /** By the time of all of the process's threads. */
  readonly perCpuSecond: number
}

interface Outcome {
  readonly first: Projected
  readonly again?: Projected
  /** The same commands without a rebuild and beside one. */
  readonly asked?: readonly [alone: Asked, beside: Asked]
}

export async function measureProjections(dataset: Dataset, options: ProjectionOptions): Promise<Row[]> {
  const { events, balance, aggregates } = dataset.facts
  const measure = async (what: Input['what']): Promise<Outcome> => {
    say(`P: a projection, ${what}`)
    const outcome = await dataset.withClone((dataDir) =>
      runChild<Outcome>(import.meta.url, { ...options, dataDir, what } satisfies Input),
    )
    for (const { totals } of [outcome.first, outcome.again ?? outcome.first]) {
      const { rows } = totals
      assert.deepEqual(totals, { rows, events, balance }, 'the read model is not what was written')
    }
    return outcome
  }
  const branches = await measure('branches')
  const accounts = await measure('accounts')
  assert.equal(accounts.first.totals.rows, aggregates)
  const [alone, beside] = branches.asked!
  return [
    rateRow('P', 'SQLite', branches.first),
    rateRow('P rebuild', 'the same anew, beside the live one', branches.again!),
    rateRow('P many', 'SQLite', accounts.first),
    askedRow('P alone', `${IN_FLIGHT} commands in flight, the projection follows`, alone),
    askedRow('P asks', 'the same beside a rebuild', beside),
  ]
}

function rateRow(id: string, how: string, { totals, perSecond, perCpuSecond }: Projected): Row {
  const what = `${how}: ${totals.events.toLocaleString('en')} events, ${totals.rows.toLocaleString('en')} rows`
  const target = atLeast(perSecond, PER_SECOND, `${PER_SECOND.toLocaleString('en')} /s`)
  return { id, what, figure: { kind: 'rate', perSecond }, target, details: { perCpuSecond } }
}

function askedRow(id: string, how: string, { perSecond, p50Ms, p99Ms, heldP99Ms, heldMaxMs }: Asked): Row {
  const rate = Math.round(perSecond).toLocaleString('en')
  const what = `${how}: ${rate} /s; thread held p99 ${heldP99Ms.toFixed(0)}, most ${heldMaxMs.toFixed(0)} ms`
  const details = { perSecond, heldP99Ms, heldMaxMs }
  return { id, what, figure: { kind: 'latency', p50Ms, p99Ms }, details }
}

async function run({ dataDir, what, ...options }: Input): Promise<void> {
  await using node = await startNode(new URL(`${what}.config.ts`, import.meta.url), { dataDir })
  if (what === 'accounts') return reply({ first: await project(node, what, upToEnd(node, what)) } satisfies Outcome)
  const first = await project(node, what, upToEnd(node, what))
  const again = await project(node, what, rebuilt(node))
  reply({ first, again, asked: await ask(node, options) } satisfies Outcome)
}

async function project(node: Node, what: Input['what'], work: Promise<void>): Promise<Projected> {
  const [startMs, start] = [performance.now(), process.cpuUsage()]
  await work
  const seconds = (performance.now() - startMs) / 1_000
  const { user, system } = process.cpuUsage(start)
  const totals = await node.projection(projectionOf(what)).query((model) => model.totals())
  const { events } = totals
  return { totals, perSecond: events / seconds, perCpuSecond: events / ((user + system) / 1e6) }
}

function projectionOf(what: Input['what']): typeof Branches {
  return what === 'branches' ? Branches : Accounts
}

async function upToEnd(node: Node, what: Input['what']): Promise<void> {
  const projection = node.projection(projectionOf(what))
  let after: number | undefined
  for (; after === undefined; await sleep(LOOK_MS)) after = (await projection.status()).lanes[0]?.head
  await projection.query(() => undefined, { after, timeoutMs: PATIENCE_MS })
}

async function rebuilt(node: Node): Promise<void> {
  const branches = node.projection(Branches)
  const isLive = await branches.rebuilt(await branches.rebuild())
  assert.ok(isLive, 'the rebuilt generation is live')
}

async function ask(node: Node, { seconds, warmUpSeconds }: ProjectionOptions): Promise<readonly [Asked, Asked]> {
  const customers = customersOf(node, 'customer', CUSTOMERS)
  const random = createRandom(3)
  await openAccounts(customers)
  const measured = async (): Promise<Asked> => {
    await drive(customers, { inFlight: IN_FLIGHT, seconds: warmUpSeconds, random })
    collectGarbage()
    const held = monitorEventLoopDelay({ resolution: 1 })
    held.enable()
    const figures = await drive(customers, { inFlight: IN_FLIGHT, seconds, random })
    held.disable()
    return { ...figures, heldP99Ms: held.percentile(99) / 1e6, heldMaxMs: held.max / 1e6 }
  }
  const alone = await measured()
  const branches = node.projection(Branches)
  await branches.rebuild()
  const beside = await measured()
  await branches.abortRebuild()
  return [alone, beside]
}

if (import.meta.main) await run(childInput<Input>())
