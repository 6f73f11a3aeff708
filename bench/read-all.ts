/**
 * A: everything, read from a node in the one order, undecoded and decoded, on one thread of a process of its own: told by
 * the processor's time that all of its threads take. And how long after its acknowledgement an event is with a subscriber.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { startNode, type EventReading, type Node } from '../src/index.ts'
import { measureArrivals, type Latency } from './arrivals.ts'
import { childInput, reply, runChild } from './child.ts'
import type { Dataset } from './dataset.ts'
import { atLeast, atMost, say, type Row } from './report.ts'
import { collectGarbage, median } from './sample.ts'

const PASSES = 3

interface Input {
  readonly dataDir: string
  readonly what: 'raw' | 'decoded' | 'live'
  /** Taken page by page. Default: one by one. */
  readonly inPages?: boolean
  /** Default: as many as a node has by itself. */
  readonly workers?: number
}

interface Reading {
  readonly events: number
  /** Events a second of each pass; and by the time of all of the process's threads, of which one reads. */
  readonly rates: readonly number[]
  readonly cpuRates: readonly number[]
}

export async function measureReadAll(dataset: Dataset, dir: string): Promise<Row[]> {
  const rows: Row[] = []
  for (const [what, inPages, target] of [
    ['raw', false, 2e6],
    ['raw', true, 2e6],
    ['decoded', false, 7e5],
    ['decoded', true, 7e5],
  ] as const) {
    const how = `${what}, ${inPages ? 'in pages' : 'one by one'}`
    say(`A: $all, ${how}`)
    const { events, rates, cpuRates } = await dataset.withClone((dataDir) => {
      return runChild<Reading>(import.meta.url, { dataDir, what, inPages } satisfies Input)
    })
    assert.equal(events, dataset.facts.events, 'what is read is not what was written')
    const perSecond = median(cpuRates)
    rows.push({
      id: `A ${what}${inPages ? ', pages' : ''}`,
      what: `$all, ${events.toLocaleString('en')} events, ${how}, a second of one core`,
      figure: { kind: 'rate', perSecond },
      target: atLeast(perSecond, target, `${target.toLocaleString('en')} /s`),
      details: { events, perSecond: median(rates), rounds: rates, cpuRounds: cpuRates },
    })
  }
  say('A: from acknowledgement to subscriber')
  rows.push(await liveRow(dir, undefined), await liveRow(dir, 2))
  return rows
}

/** The bound is for a node as it is by itself. With several workers an event waits for the others' marks. */
async function liveRow(dir: string, workers: number | undefined): Promise<Row> {
  const dataDir = fs.mkdtempSync(join(dir, 'live-'))
  const input: Input = workers === undefined ? { dataDir, what: 'live' } : { dataDir, what: 'live', workers }
  const { workersCount, p50Ms, p99Ms } = await runChild<Latency>(import.meta.url, input)
  const row: Row = {
    id: workers === undefined ? 'A live' : `A live ${workers}`,
    what: `from acknowledgement to subscriber, ${workersCount} ${workersCount === 1 ? 'worker' : 'workers'}, 1 in flight`,
    figure: { kind: 'latency', p50Ms, p99Ms },
  }
  return workers === undefined ? { ...row, target: atMost(p50Ms, 2, 'p50 2 ms') } : row
}

async function run({ dataDir, what, inPages = false, workers }: Input): Promise<void> {
  const config = new URL('bank.config.ts', import.meta.url)
  await using node = await startNode(config, { dataDir, ...(workers !== undefined && { workers }) })
  if (what === 'live') reply(await live(node))
  else reply(await read(node, what === 'raw', inPages))
}

async function read(node: Node, raw: boolean, inPages: boolean): Promise<Reading> {
  const rates: number[] = []
  const cpuRates: number[] = []
  let events = 0
  for (let pass = 0; pass < PASSES; pass += 1) {
    collectGarbage()
    const [startMs, start] = [performance.now(), process.cpuUsage()]
    events = 0
    let last = 0
    const take = (position: number): void => {
      events += 1
      if (position < last) throw new Error('out of order')
      last = position
    }
    const reading: EventReading<{ readonly position: number }> = raw
      ? node.store.readAll({ raw })
      : node.store.readAll()
    if (inPages) for await (const page of reading.pages()) for (const { position } of page) take(position)
    else for await (const { position } of reading) take(position)
    rates.push(events / ((performance.now() - startMs) / 1_000))
    const { user, system } = process.cpuUsage(start)
    cpuRates.push(events / ((user + system) / 1e6))
  }
  return { events, rates, cpuRates }
}

async function live(node: Node): Promise<Latency> {
  const arrived = new Map<string, number>()
  const stop = new AbortController()
  const subscription = (async () => {
    for await (const { id } of node.store.subscribe({ signal: stop.signal })) arrived.set(id, performance.now())
  })()
  const latency = await measureArrivals(node, arrived)
  stop.abort()
  await subscription
  return latency
}

if (import.meta.main) await run(childInput<Input>())
