/**
 * S: how long a node takes until it serves, and what memory it has then, over the big log; in a fresh process each time.
 * After a graceful stop, and after its writer was killed with a nearly full segment that has no index yet.
 */
import { startNode } from '../src/index.ts'
import { Account } from './account.ts'
import { childInput, reply, runChild } from './child.ts'
import { accountId, type Dataset } from './dataset.ts'
import { atMost, say, type Row } from './report.ts'
import { median } from './sample.ts'

const STARTS = 5

interface Start {
  /** `startNode`, and the whole process from its beginning until then. */
  readonly startMs: number
  readonly processMs: number
  readonly rssBytes: number
  readonly peakRssBytes: number
  readonly firstQueryMs: number
}

export async function measureStarts(dataset: Dataset): Promise<Row[]> {
  say('S: starts')
  const killed: Start[] = []
  for (let i = 0; i < STARTS; i += 1) killed.push(await dataset.withClone(start))
  const graceful = await dataset.withClone(async (dataDir) => {
    // The first takes over from the one that was killed; each of the others from one that was stopped.
    await start(dataDir)
    const starts: Start[] = []
    for (let i = 0; i < STARTS; i += 1) starts.push(await start(dataDir))
    return starts
  })
  const { events } = dataset.facts
  const log = `${events.toLocaleString('en')} events in the log`
  return [...rowsOf(graceful, `after a stop, ${log}`), ...rowsOf(killed, `after SIGKILL, ${log}`)]
}

function start(dataDir: string): Promise<Start> {
  return runChild<Start>(import.meta.url, { dataDir })
}

function rowsOf(starts: readonly Start[], when: string): Row[] {
  const of = (key: keyof Start): number => median(starts.map((measured) => measured[key]))
  const ms = of('startMs')
  const megabytes = of('rssBytes') / 1e6
  const details = { processMs: of('processMs'), firstQueryMs: of('firstQueryMs'), rounds: starts.map((s) => s.startMs) }
  const peak = { peakMegabytes: of('peakRssBytes') / 1e6 }
  const time = { kind: 'time', ms } as const
  const memory = { kind: 'memory', megabytes } as const
  return [
    { id: 'S time', what: `start ${when}`, figure: time, target: atMost(ms, 1_500, '1,500 ms'), details },
    { id: 'S memory', what: `RSS ${when}`, figure: memory, target: atMost(megabytes, 300, '300 MB'), details: peak },
  ]
}

async function run(dataDir: string): Promise<void> {
  const beforeMs = performance.now()
  await using node = await startNode(new URL('bank.config.ts', import.meta.url), { dataDir })
  const processMs = performance.now()
  const rssBytes = process.memoryUsage.rss()
  await node.ref(Account, accountId(1)).query('balance')
  const firstQueryMs = performance.now() - processMs
  const peakRssBytes = process.resourceUsage().maxRSS * 1024
  reply({ startMs: processMs - beforeMs, processMs, rssBytes, peakRssBytes, firstQueryMs } satisfies Start)
}

if (import.meta.main) await run(childInput<{ readonly dataDir: string }>().dataDir)
