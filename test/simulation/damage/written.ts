/** What stands in the files of a log and counts, read without anybody of those who serve it. */
import { FilePool } from '../../../src/log/file-pool.ts'
import { readLosses } from '../../../src/log/losses.ts'
import { RecordKind, type LogRecord } from '../../../src/log/record.ts'
import { isWithin } from '../../../src/log/reign.ts'
import { readSegment, salvage } from '../../../src/log/scan.ts'
import { hash64 } from '../../../src/log/stream.ts'
import { verify } from '../../../src/log/verify/verify.ts'
import { SimulatedClock } from '../../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../../src/testing/simulated-storage.ts'

export interface Written {
  /** What `penhold verify` takes for damage; indexes may be missing or left behind. */
  readonly damage: readonly string[]
  /** All records that count, each shard's in its order. */
  readonly records: readonly LogRecord[]
}

export async function readWritten(disk: SimulatedDisk): Promise<Written> {
  const storage = new SimulatedStorage(disk)
  const { findings, survey } = await verify({ storage, clock: new SimulatedClock() })
  const damage = findings.kept.filter(({ severity, file }) => severity === 'damage' && !file.endsWith('.idx'))
  const reigns = new Map(survey.openedShards.map((shard) => [shard, survey.reigns(shard)]))
  const order = ({ shard, epoch, address }: LogRecord): number =>
    (reigns.get(shard) ?? []).findIndex((reign) => isWithin(reign, epoch, address))
  const records: { readonly record: LogRecord; readonly reign: number }[] = []
  const take = (record: LogRecord): void => {
    const reign = record.isOfJournal ? -1 : order(record)
    if (reign >= 0) records.push({ record, reign })
  }
  const files = new FilePool(storage)
  for (const [journal, segments] of survey.journals) {
    for (const segment of segments) {
      const identity = { journal, segment, cluster: hash64('simulated', 0) }
      for await (const piece of readSegment(files, identity)) {
        if (piece.kind === 'batch') for (const record of piece.batch.records) take(record)
        if (piece.kind === 'flipped') for (const record of piece.flipped.batch.records) take(record)
        if (piece.kind === 'damage') for await (const record of salvage(files, identity, piece)) take(record)
      }
    }
  }
  await files.close()
  const row = records.toSorted(
    (a, b) =>
      a.record.shard - b.record.shard ||
      a.reign - b.reign ||
      a.record.segment - b.record.segment ||
      a.record.offset - b.record.offset,
  )
  return {
    damage: damage.map(({ file, offset, problem }) => `${file} at byte ${offset}: ${problem}`),
    records: row.map(({ record }) => record),
  }
}

export function isEvent({ kind }: LogRecord): boolean {
  return kind === RecordKind.event
}

/** Which of these an operator may have lost by what was accepted: those in the stretches, and all of an epoch whose opening is. */
export async function acceptedOf(disk: SimulatedDisk, records: readonly LogRecord[]): Promise<Set<LogRecord>> {
  const storage = new SimulatedStorage(disk)
  const isLost = new Set<LogRecord>()
  const epochs = new Set<string>()
  for (const [journal, ofJournal] of Map.groupBy(records, (record) => record.journal)) {
    const losses = await readLosses(storage, journal)
    for (const record of ofJournal) {
      const { segment, offset, length, kind } = record
      const stretches = losses.get(segment) ?? []
      const isIn = stretches.some(({ from, to = Number.POSITIVE_INFINITY }) => from < offset + length && offset < to)
      if (!isIn) continue
      isLost.add(record)
      if (kind === RecordKind.opened) epochs.add(epochOf(record))
    }
  }
  for (const record of records) if (epochs.has(epochOf(record))) isLost.add(record)
  return isLost
}

function epochOf({ shard, epoch }: LogRecord): string {
  return `${shard}/${epoch}`
}
