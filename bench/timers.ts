/**
 * T: a million timers that are pending. What memory they add to a node that has just started, and how late those of the
 * next seconds fire, a thousand of them a second: from when a timer was due until who subscribes to its command's event has
 * that, which is durable then.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startNode, type Node } from '../src/index.ts'
import { childInput, reply, runChild } from './child.ts'
import { atMost, say, type Row } from './report.ts'
import { collectGarbage, Sample } from './sample.ts'
import { Planner, Target, type Plan } from './timers.config.ts'

const PENDING = 1_000_000
const PENDING_QUICK = 20_000
const PER_SECOND = 1_000
const PER_PLAN = 100
/** The pending ones are spread over a month from tomorrow on. */
const DAY_MS = 86_400_000
/** Until the first of the others is due: all are set by then. */
const AHEAD_MS = 20_000
const SETTLE_MS = 5_000
const MEGABYTES = 150
const LATE_MS = 100

export interface TimersOptions {
  readonly dir: string
  readonly seconds: number
}

interface Input {
  readonly dataDir: string
  readonly what: 'set' | 'idle' | 'fire'
  readonly count: number
}

interface Memory {
  readonly rss: number
  readonly perSecond: number
}

interface Lateness {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export async function measureTimers({ dir, seconds }: TimersOptions): Promise<Row[]> {
  const pending = seconds < 1 ? PENDING_QUICK : PENDING
  say(`T: ${pending.toLocaleString('en')} timers`)
  const dataDir = join(dir, 'timers')
  const child = <Result>(what: Input['what'], count: number, data: string = dataDir): Promise<Result> =>
    runChild<Result>(import.meta.url, { dataDir: data, what, count } satisfies Input)
  const { perSecond } = await child<Memory>('set', pending)
  const without = await child<Memory>('idle', 0, join(dir, 'no-timers'))
  const withThem = await child<Memory>('idle', 0)
  const late = await child<Lateness>('fire', PER_SECOND * Math.max(5, seconds * 10))
  fs.rmSync(dataDir, { recursive: true })
  const megabytes = Math.max(0, withThem.rss - without.rss) / 1e6
  const { p50Ms, p99Ms, maxMs } = late
  const count = pending.toLocaleString('en')
  return [
    {
      id: 'T memory',
      what: `RSS that ${count} pending timers add; set at ${Math.round(perSecond).toLocaleString('en')} /s`,
      figure: { kind: 'memory', megabytes },
      target: atMost(megabytes, MEGABYTES, `${MEGABYTES} MB`),
      details: { perSecond, rss: withThem.rss / 1e6 },
    },
    {
      id: 'T late',
      what: `${PER_SECOND.toLocaleString('en')} /s due beside them: from due to the subscriber; most ${maxMs.toFixed(0)} ms`,
      figure: { kind: 'latency', p50Ms, p99Ms },
      target: atMost(p99Ms, LATE_MS, `${LATE_MS} ms`),
      details: { maxMs },
    },
  ]
}

async function run({ dataDir, what, count }: Input): Promise<void> {
  await using node = await startNode(new URL('timers.config.ts', import.meta.url), { dataDir })
  if (what === 'fire') return reply(await fire(node, count))
  const startMs = performance.now()
  if (what === 'set') await plan(node, { first: 0, count, from: Date.now() + DAY_MS, stepMs: (30 * DAY_MS) / count })
  if (what === 'set') await handled(node)
  const perSecond = count / ((performance.now() - startMs) / 1_000)
  await handled(node)
  await sleep(SETTLE_MS)
  collectGarbage()
  reply({ rss: process.memoryUsage.rss(), perSecond } satisfies Memory)
}

async function plan(node: Node, { first, count, from, stepMs }: Plan): Promise<void> {
  const plans = Array.from({ length: Math.ceil(count / PER_PLAN) }, (_, i) => i * PER_PLAN)
  await Promise.all(
    plans.map((i) =>
      node
        .ref(Planner, `${first}-${i}`)
        .ask(
          'plan',
          { first: first + i, count: Math.min(PER_PLAN, count - i), from: from + i * stepMs, stepMs },
          { timeoutMs: 600_000 },
        ),
    ),
  )
}

/** Resolves once all that was planned is set, and in buckets. */
async function handled(node: Node): Promise<void> {
  for (;;) {
    const { reactors, timers } = await node.status()
    if (
      [...reactors, ...timers].every(({ lanes }) =>
        lanes.every(({ lag, waiting }) => waiting === 0 && lag !== undefined && lag.ms === 0),
      )
    )
      return
    await sleep(100)
  }
}

async function fire(node: Node, count: number): Promise<Lateness> {
  await handled(node)
  const late = new Sample()
  let maxMs = 0
  const seen = Promise.withResolvers<void>()
  const subscription = node.store.subscribe({ categories: [Target.type] }, ({ data }) => {
    const ms = Date.now() - (data as { readonly at: number }).at
    late.add(ms)
    maxMs = Math.max(maxMs, ms)
    if (late.count === count) seen.resolve()
  })
  await plan(node, { first: 10_000_000, count, from: Date.now() + AHEAD_MS, stepMs: 1_000 / PER_SECOND })
  await seen.promise
  await sleep(1_000)
  assert.equal(late.count, count, 'each timer has fired once')
  await subscription[Symbol.asyncDispose]()
  return { p50Ms: late.percentile(50), p99Ms: late.percentile(99), maxMs }
}

if (import.meta.main) await run(childInput<Input>())
