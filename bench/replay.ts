/**
 * R: everything that ever happened, read from the log in order, decoded, and folded into the state of every aggregate;
 * on one thread, in a process of its own. What comes out is compared with what was written.
 */
import assert from 'node:assert/strict'
import { evolveRecord } from '../src/actor/decide.ts'
import type { Aggregate } from '../src/index.ts'
import { FilePool } from '../src/log/file-pool.ts'
import { journalPath, JOURNALS_PATH, numbersOf } from '../src/log/path.ts'
import { RecordKind, type LogRecord } from '../src/log/record.ts'
import { readSegment } from '../src/log/scan.ts'
import { StreamTable } from '../src/log/stream-table.ts'
import { hash64, streamType } from '../src/log/stream.ts'
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
  say(`R: replay of ${dataset.facts.events.toLocaleString('en')} events`)
  const { rates, ...found } = await runChild<Replay>(import.meta.url, { dataDir: dataset.dataDir })
  const { events, aggregates, balance } = dataset.facts
  assert.deepEqual(found, { events, aggregates, balance }, 'the replay does not give what was written')
  const perSecond = median(rates)
  const what = `replay of ${events.toLocaleString('en')} events, ${aggregates.toLocaleString('en')} aggregates`
  const target = atLeast(perSecond, 1e6, '1,000,000 /s')
  return [{ id: 'R', what, figure: { kind: 'rate', perSecond }, target, details: { events, rounds: rates } }]
}

/**
 * Folds each event as it comes. One that was carried into a later journal comes twice, and counts once.
 *
 * Streams are told apart by their hash, as the log's own index does it, and what is known of them stands in arrays: of
 * a million aggregates at random hardly one is in the processor's cache, and a map by name costs more than all else.
 * Two streams that shared a hash would break the count of versions, which is asserted.
 */
class Fold {
  readonly #aggregates = new Map<string, Aggregate>(config.aggregates.map((aggregate) => [aggregate.type, aggregate]))
  readonly #numbers = new StreamTable()
  readonly #kinds: Aggregate[] = []
  readonly #versions: number[] = []
  readonly states: unknown[] = []
  events = 0

  add(record: LogRecord): void {
    const number = this.#numbers.get(record.hashHigh, record.hashLow) ?? this.#begin(record)
    const { version } = record
    const before = this.#versions[number]!
    if (version <= before) return
    if (version !== before + 1) throw new Error(`${record.stream} goes from version ${before} to ${version}`)
    this.states[number] = evolveRecord(this.#kinds[number]!, this.states[number], record)
    this.#versions[number] = version
    this.events += 1
  }

  #begin({ stream, hashHigh, hashLow }: LogRecord): number {
    const aggregate = this.#aggregates.get(streamType(stream))!
    const number = this.states.push(aggregate.initialState()) - 1
    this.#kinds.push(aggregate)
    this.#versions.push(0)
    this.#numbers.set(hashHigh, hashLow, number)
    return number
  }
}

/** Reads every event in the directory. Nobody may be writing there. */
export async function readEvents(dataDir: string, visit: (event: LogRecord) => void): Promise<void> {
  const storage = new FileStorage(dataDir, blocking)
  const { clusterId } = await identify(storage, { ...config, dataDir })
  const files = new FilePool(storage)
  for (const journal of numbersOf(await storage.list(JOURNALS_PATH), '')) {
    for (const segment of numbersOf(await storage.list(journalPath(journal)), '.log')) {
      for await (const piece of readSegment(files, { journal, segment, cluster: hash64(clusterId, 0) })) {
        if (piece.kind !== 'batch') continue
        for (const record of piece.batch.records) if (record.kind === RecordKind.event) visit(record)
      }
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
  for (const state of fold.states) balance += (state as { readonly balance: number }).balance
  reply({ events: fold.events, aggregates: fold.states.length, balance, rates } satisfies Replay)
}

if (import.meta.main) await run(childInput<{ readonly dataDir: string }>().dataDir)
