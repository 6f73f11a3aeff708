/** E: how long after its acknowledgement an event is with an asynchronous reactor's handler, on one node. */
import fs from 'node:fs'
import { join } from 'node:path'
import { startNode } from '../src/index.ts'
import { measureArrivals, type Latency } from './arrivals.ts'
import { childInput, reply, runChild } from './child.ts'
import { arrived } from './reactor.config.ts'
import { atMost, say, type Row } from './report.ts'

const TARGET_MS = 3

interface Input {
  readonly dataDir: string
}

export async function measureReactor(dir: string): Promise<Row[]> {
  say('E: from acknowledgement to reactor')
  const dataDir = fs.mkdtempSync(join(dir, 'reactor-'))
  const { workersCount, p50Ms, p99Ms } = await runChild<Latency>(import.meta.url, { dataDir } satisfies Input)
  const workers = `${workersCount} ${workersCount === 1 ? 'worker' : 'workers'}`
  return [
    {
      id: 'E',
      what: `from acknowledgement to a reactor's handler, ${workers}, 1 in flight`,
      figure: { kind: 'latency', p50Ms, p99Ms },
      target: atMost(p50Ms, TARGET_MS, `p50 ${TARGET_MS} ms`),
    },
  ]
}

async function run({ dataDir }: Input): Promise<void> {
  await using node = await startNode(new URL('reactor.config.ts', import.meta.url), { dataDir })
  reply(await measureArrivals(node, arrived))
}

if (import.meta.main) await run(childInput<Input>())
