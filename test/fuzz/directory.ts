import fc from 'fast-check'
import { expect } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { BATCH_BYTES_LIMIT } from '../../src/log/batch.ts'
import { isCount } from '../../src/log/count.ts'
import type { Log } from '../../src/log/log.ts'
import type { LogRecord } from '../../src/log/record.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { diskOf, logImage, openLog, STREAMS, type Image } from './log-directory.ts'
import { mutate, mutations, type Mutation } from './mutation.ts'
import { expectPlain } from './plain-data.ts'
import { changeFields, fieldChanges, type FieldChange } from './record-fields.ts'
import { resealClaim, resealIndex, resealSegment } from './reseal.ts'
import { orDocumented, target, type Target } from './target.ts'

/** So many steps at the disk, or records of one stream, no log of this size needs: whoever takes more never ends. */
const STEPS_MAX = 20_000
const RECORDS_MAX = 1_000

interface Harm {
  readonly file: number
  readonly changes: readonly Mutation[]
  readonly fields: readonly FieldChange[]
  readonly isResealed: boolean
  readonly becomes: 'changed' | 'missing' | 'another'
}

const harms = fc.array(
  fc.record<Harm>({
    file: fc.nat({ max: 1000 }),
    changes: fc.oneof(fc.constant([]), mutations),
    fields: fieldChanges,
    isResealed: fc.boolean(),
    becomes: fc.oneof(
      { arbitrary: fc.constant('changed' as const), weight: 8 },
      { arbitrary: fc.constantFrom('missing' as const, 'another' as const), weight: 1 },
    ),
  }),
  { minLength: 1, maxLength: 3 },
)

/**
 * A log whose files were harmed is opened and read to its ends: each shard is served or refused, each stream reads back
 * or its reading fails, with the errors that are documented, and nothing goes on for ever.
 */
export const directory: Target = target('directory', harms, async (given) => {
  const disk = diskOf(given.reduce(harm, await logImage()))
  const log = await orDocumented(() => openLog(watched(disk)), isLogError)
  if (log === undefined) return
  for (const error of log.refusedShards.values()) expect(isLogError(error)).toBe(true)
  for (const name of STREAMS) await orDocumented(() => readStream(log, name), isLogError)
  await orDocumented(() => log.eventTypes(), isLogError)
  await log.close()
})

function isLogError(error: unknown): boolean {
  return error instanceof PenholdError && (error.code === 'LogCorrupt' || error.code === 'DataFormat')
}

function watched(disk: ReturnType<typeof diskOf>): SimulatedStorage {
  return new SimulatedStorage(disk, ({ name, path, number }) => {
    if (number > STEPS_MAX) throw new Error(`no end: step ${number} is ${name} of ${path}`)
    return 'none'
  })
}

async function readStream(log: Log, name: string): Promise<void> {
  const stream = log.placement.stream(name)
  if (!log.owns(stream.shard)) return
  let records = 0
  for await (const record of log.back(stream)) {
    records += 1
    if (records > RECORDS_MAX) throw new Error(`no end: ${name} has ${records} records`)
    readRecord(record)
  }
  const { snapshot, events } = await log.tail(stream, () => true)
  for (const record of snapshot === undefined ? events : [snapshot, ...events]) readRecord(record)
}

function readRecord(record: LogRecord): void {
  const { data, metadata, length, seq, position, version } = record
  expectPlain(data)
  if (metadata !== undefined) expectPlain(metadata)
  const isWithinBounds = length <= BATCH_BYTES_LIMIT && [seq, position, version].every(isCount)
  if (!isWithinBounds) throw new Error(`a record of ${length} bytes at seq ${seq}, position ${position}`)
}

function harm(image: Image, given: Harm): Image {
  const { file, becomes } = given
  const paths = [...image.keys()]
  const path = paths[file % paths.length]!
  const other = paths[(file * 7 + 1) % paths.length]!
  const harmed = new Map(image)
  if (becomes === 'missing') harmed.delete(path)
  else harmed.set(path, changed(path, image.get(becomes === 'another' ? other : path)!, given))
  return harmed
}

function changed(path: string, content: Uint8Array, { changes, fields, isResealed }: Harm): Uint8Array {
  const bytes = mutate(content, changes)
  if (path.endsWith('.log')) changeFields(bytes, fields)
  if (!isResealed) return bytes
  if (path.endsWith('.idx')) resealIndex(bytes)
  if (path.endsWith('.claim')) return Buffer.from(resealClaim(bytes.toString('utf8')))
  const [, journal, segment] = /^journals\/(\d+)\/(\d+)\.log$/.exec(path) ?? []
  if (segment !== undefined) resealSegment(bytes, { journal: Number(journal), segment: Number(segment) })
  return bytes
}
