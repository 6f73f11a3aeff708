/**
 * R: everything that ever happened, read from the log in order, decoded, and folded into the state of every aggregate;
 * on one thread, in a process of its own. What comes out is compared with what was written.
 */
import assert from 'node:assert/strict'
import { evolveRecord } from '../src/actor/decide.ts'
import { type Aggregate } from '../src/index.ts'
import { FilePool } from '../src/log/file-pool.ts'
import { journalPath, JOURNALS_PATH, numbersOf } from '../src/log/path.ts'
import { RecordKind, type LogRecord } from '../src/log/record.ts'
import { scanSegment } from '../src/log/scan.ts'
import { hash64 } from '../src/log/stream.ts'
import { identify } from '../src/node/data-directory.ts'
import { blocking } from '../src/platform/file-calls.ts'
import { FileStorage } from '../src/platform/file-storage.ts'
import config from './bank.config.ts'
import { childInput, reply, runChild } from './child.ts'
import type { Dataset } from './dataset.ts'
import { atLeast, say, type Row } from './report.ts'
import { collectGarbage, median } from './sample.ts'

const PASSES = 3

interface Replay {
  readonly events: number
  readonly aggregates: number
  readonly balance: number
  /** Events a second of each pass. */
  readonly rates: readonly number[]
}

export async function measureReplay(dataset: Dataset): Promise<Row[]> {
  say('R: replay')
  const { rates, ...found } = await runChild<Replay>(import.meta.url, { dataDir: dataset.dataDir })
  const { events, aggregates, balance } = dataset.facts
  assert.deepEqual(found, { events, aggregates, balance }, 'the replay does not give what was written')
  const perSecond = median(rates)
  const what = `replay of ${events.toLocaleString('en')} events, ${aggregates.toLocaleString('en')} aggregates`
  const target = atLeast(perSecond, 1e6, '1,000,000 /s')
  return [{ id: 'R', what, figure: { kind: 'rate', perSecond }, target, details: { events, rounds: rates } }]
}

interface Live {
  version: number
  state: { readonly balance: number }
}

/** Folds each event as it comes. One that was carried into a later journal comes twice, and counts once. */
class Fold {
  readonly #aggregates = new Map(config.aggregates.map((aggregate) => [aggregate.type, aggregate]))
  readonly states = new Map<string, Live>()
  events = 0

  add(record: LogRecord): void {
    const { stream, version } = record
    const aggregate: Aggregate = this.#aggregates.get(stream.slice(0, stream.indexOf('/')))!
    let live = this.states.get(stream)
    if (live === undefined) {
      live = { version: 0, state: aggregate.initialState() as Live['state'] }
      this.states.set(stream, live)
    }
    if (version <= live.version) return
    assert.equal(version, live.version + 1, `${stream} has a gap in its versions`)
    live.state = evolveRecord(aggregate, live.state, record) as Live['state']
    live.version = version
    this.events += 1
  }
}

/** Reads every event in the directory. Nobody may be writing there. */
export async function readEvents(dataDir: string, visit: (event: LogRecord) => void): Promise<void> {
  const storage = new FileStorage(dataDir, blocking)
  const { clusterId } = await identify(storage, { ...config, dataDir })
  const files = new FilePool(storage)
  for (const journal of numbersOf(await storage.list(JOURNALS_PATH), '')) {
    for (const segment of numbersOf(await storage.list(journalPath(journal)), '.log')) {
      await scanSegment(files, { journal, segment, cluster: hash64(clusterId, 0) }, ({ records }) => {
        for (const record of records) if (record.kind === RecordKind.event) visit(record)
      })
    }
  }
  await files.close()
}

async function run(dataDir: string): Promise<void> {
  const rates: number[] = []
  let fold = new Fold()
  for (let pass = 0; pass < PASSES; pass += 1) {
    fold = new Fold()
    collectGarbage()
    const startMs = performance.now()
    await readEvents(dataDir, (event) => fold.add(event))
    rates.push(fold.events / ((performance.now() - startMs) / 1_000))
  }
  let balance = 0
  for (const { state } of fold.states.values()) balance += state.balance
  reply({ events: fold.events, aggregates: fold.states.size, balance, rates } satisfies Replay)
}

if (import.meta.main) await run(childInput<{ readonly dataDir: string }>().dataDir)
