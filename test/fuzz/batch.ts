import fc from 'fast-check'
import { expect } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { BatchBuilder, findMagic, readBatch, recordAt } from '../../src/log/batch.ts'
import { encode } from '../../src/log/codec.ts'
import { Block, type LogRecord, NOWHERE, RecordKind } from '../../src/log/record.ts'
import { decodeOpening, encodeOpening } from '../../src/log/reign.ts'
import { OpenIndex } from '../../src/log/segment-index.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { StreamPlacement } from '../../src/log/stream.ts'
import { edges, mutate, mutations } from './mutation.ts'
import { expectPlain, plain, withWrong, wrong } from './plain-data.ts'
import { changeFields, fieldChanges } from './record-fields.ts'
import { resealBatch } from './reseal.ts'
import { orDocumented, target, type Target } from './target.ts'

const cluster = { high: 7, low: 9 }
const place = { journal: 3, segment: 2, offset: 4096, number: 5 }
const identity = { journal: 3, segment: 2, offset: 4096, cluster }
const placement = new StreamPlacement('cluster', 64)

interface Written {
  readonly data: unknown
  readonly metadata: unknown
  readonly kind: RecordKind
  readonly number: number
}

const records = fc.array(
  fc.record<Written>({
    data: plain,
    metadata: fc.option(plain, { nil: undefined }),
    kind: fc.constantFrom(...Object.values(RecordKind)),
    number: edges,
  }),
  { maxLength: 4 },
)

/** A batch is read whole, with records of which each field can be read, or it is none. */
export const batch: Target = target(
  'batch',
  fc.record({ records, changes: mutations, fields: fieldChanges, isResealed: fc.boolean() }),
  async ({ records: written, changes, fields, isResealed }) => {
    const bytes = mutate(build(written), changes)
    changeFields(bytes, fields)
    if (isResealed) resealBatch(bytes, place)
    const block = new Block(Uint8Array.from(bytes))
    findMagic(block, 0)
    const reading = readBatch(block, 0, identity)
    if (reading.kind !== 'batch') return
    const index = new OpenIndex(place.journal, place.segment)
    index.add(reading.batch)
    for (const record of reading.batch.records) {
      expect(recordAt(block, record.at, record.address)).toBeDefined()
      await readFields(record)
      await orDocumented(() => index.addRecord(record), isCorrupt)
    }
  },
)

/** What an owner wrote down is read as that, or as nothing. */
export const opening: Target = target(
  'opening',
  fc.record({ part: wrong, place: fc.nat({ max: 100 }), reigns: fc.nat({ max: 3 }), carried: fc.nat() }),
  ({ part, place: at, reigns, carried }) => {
    const numbers = { epoch: 1, journal: 2, from: { segment: 1, offset: 0 }, until: { segment: 1, offset: 4096 } }
    const valid = { shard: 1, epoch: 3, reigns: Array.from({ length: reigns }, () => numbers), carried }
    const encoded = { shard: 1, epoch: 3, reigns: valid.reigns.map(() => [1, 2, 1, 0, 1, 4096]), carried }
    expect(decodeOpening(encoded)).toEqual(valid)
    const decoded = decodeOpening(withWrong(encoded, at, part))
    if (decoded !== undefined) encodeOpening(decoded)
  },
)

function build(written: readonly Written[]): Uint8Array {
  const builder = new BatchBuilder(cluster)
  builder.begin(place)
  for (const { data, metadata, kind, number } of written) {
    builder.add(placement.stream('account/ünï-1'), {
      kind,
      epoch: number,
      seq: number * 2 ** 8,
      version: number,
      payloadHash: number,
      position: number,
      previous: NOWHERE,
      time: number,
      eventId: new Uint8Array(16),
      commandId: sliceOf(new Uint8Array(16)),
      typeVersion: 3,
      type: Buffer.from('Deposited'),
      data: sliceOf(encode(data)),
      metadata: metadata === undefined ? new Uint8Array() : encode(metadata),
    })
  }
  return builder.finish(false)
}

function isCorrupt(error: unknown): boolean {
  return error instanceof PenholdError && error.code === 'LogCorrupt'
}

async function readFields(record: LogRecord): Promise<void> {
  const { shard, epoch, hash, version, payloadHash, seq, position, time, typeVersion, previous } = record
  const numbers = [shard, epoch, version, payloadHash, seq, position, time, typeVersion, hash.high, previous.offset]
  expect(numbers.every((number) => Number.isSafeInteger(number) && number >= 0)).toBe(true)
  expect(record.bytes.length).toBe(record.length)
  expect(Object.values(RecordKind)).toContain(record.kind)
  expect(typeof record.stream).toBe('string')
  await orDocumented(() => record.type, isCorrupt)
  for (const read of [() => record.data, () => record.metadata]) {
    const value = await orDocumented(read, isCorrupt)
    if (value !== undefined) expectPlain(value)
  }
}
