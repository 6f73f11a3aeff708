/** How long after its acknowledgement an event is with whoever waits for it: one command at a time, to a hundred aggregates. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Node } from '../src/index.ts'
import { Account } from './account.ts'

const COMMANDS = 3_000
const WARM_UP = 1_000

export interface Latency {
  readonly workersCount: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** `arrived` has the moment of each event's arrival, by its id, as `performance.now` has it. */
export async function measureArrivals(node: Node, arrived: ReadonlyMap<string, number>): Promise<Latency> {
  const acknowledged: [id: string, atMs: number][] = []
  for (let i = 0; i < COMMANDS; i += 1) {
    const { events } = await node.ref(Account, `live-${i % 100}`).ask('deposit', { amount: 1 })
    acknowledged.push([events[0]!.id, performance.now()])
  }
  while (arrived.size < COMMANDS) await sleep(10)
  const waits = acknowledged.slice(WARM_UP).map(([id, atMs]) => Math.max(0, arrived.get(id)! - atMs))
  const sorted = waits.toSorted((a, b) => a - b)
  const percentile = (part: number): number => sorted[Math.floor(sorted.length * part)]!
  const workersCount = (await node.status()).workers.length
  return { workersCount, p50Ms: percentile(0.5), p99Ms: percentile(0.99) }
}
