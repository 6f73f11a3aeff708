import { describe, expect, test } from 'vitest'
import { BatchBuilder, readBatch, recordAt } from '../../src/log/batch.ts'
import { encode } from '../../src/log/codec.ts'
import { Block, NOWHERE, RecordKind, type RecordParts } from '../../src/log/record.ts'
import { splitRecords } from '../../src/log/recorded-event.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { StreamPlacement } from '../../src/log/stream.ts'

const cluster = { high: 7, low: 9 }
const place = { journal: 3, segment: 2, offset: 4096, number: 5 }
const identity = { journal: 3, segment: 2, offset: 4096, cluster }
const stream = new StreamPlacement('cluster', 64).stream('account/ünï-1')

function parts(data: unknown): RecordParts {
  return {
    kind: RecordKind.event,
    epoch: 4,
    seq: 2 ** 40,
    version: 12,
    payloadHash: 0xfedcba98,
    position: 2 ** 52 + 3,
    previous: { journal: 1, segment: 2, offset: 64 },
    time: 1_795_000_000_000,
    eventId: new Uint8Array(16).fill(1),
    commandId: sliceOf(new Uint8Array(16).fill(2)),
    typeVersion: 3,
    type: Buffer.from('Deposited'),
    data: sliceOf(encode(data)),
    metadata: encode({ user: 'x' }),
  }
}

function build(count = 3): Block {
  const builder = new BatchBuilder(cluster)
  builder.begin(place)
  for (let i = 0; i < count; i += 1) builder.add(stream, { ...parts({ i }), previous: NOWHERE })
  return new Block(Uint8Array.from(builder.finish(false)))
}

test('a record reads back as it was written', () => {
  const builder = new BatchBuilder(cluster)
  builder.begin(place)
  const address = builder.add(stream, parts({ amount: 5, text: 'ß', big: 2n ** 60n, list: [null, true, 1.5] }))
  const block = new Block(Uint8Array.from(builder.finish(false)))
  const record = recordAt(block, address.offset - place.offset, address)!
  expect(record).toMatchObject({
    kind: RecordKind.event,
    shard: stream.shard,
    epoch: 4,
    hash: stream.hash,
    version: 12,
    payloadHash: 0xfedcba98,
    seq: 2 ** 40,
    position: 2 ** 52 + 3,
    previous: { journal: 1, segment: 2, offset: 64 },
    time: 1_795_000_000_000,
    typeVersion: 3,
    stream: 'account/ünï-1',
    type: 'Deposited',
    data: { amount: 5, text: 'ß', big: 2n ** 60n, list: [null, true, 1.5] },
    metadata: { user: 'x' },
  })
})

test('each record knows where it stands: under construction, in a batch, and read alone, wherever in memory that is', () => {
  const builder = new BatchBuilder(cluster)
  builder.begin(place)
  const addresses = [0, 1, 2].map((i) => builder.add(stream, parts({ i })))
  expect(builder.records().map(({ address }) => address)).toEqual(addresses)
  const batch = builder.finish(false)
  const before = 800
  const bytes = new Uint8Array(before + batch.length)
  bytes.set(batch, before)
  const block = new Block(bytes)
  const reading = readBatch(block, before, identity)
  const records = reading.kind === 'batch' ? reading.batch.records : []
  expect(records.map(({ address }) => address)).toEqual(addresses)
  for (const [i, address] of addresses.entries()) {
    const record = recordAt(block, before + address.offset - place.offset, address)!
    expect(record.address).toEqual(address)
    const { journal, segment, offset } = record
    expect({ journal, segment, offset }).toEqual(address)
    expect(record.data).toEqual({ i })
  }
  // A record that came alone stands nowhere.
  const [alone] = splitRecords({ bytes, start: records[1]!.at, end: records[2]!.at })
  expect(alone!.address).toEqual(NOWHERE)
})

describe('nothing but the very batch that was written there is read', () => {
  test('a flipped bit anywhere in a batch is noticed, and in a record also without its batch', () => {
    const whole = build()
    const reading = readBatch(whole, 0, identity)
    expect(reading.kind).toBe('batch')
    const records = reading.kind === 'batch' ? reading.batch.records : []
    expect(records).toHaveLength(3)
    for (let bit = 0; bit < whole.bytes.length * 8; bit += 1) {
      const bytes = Uint8Array.from(whole.bytes)
      bytes[bit >>> 3]! ^= 1 << (bit & 7)
      const block = new Block(bytes)
      expect(readBatch(block, 0, identity).kind, `bit ${bit}`).toBe('none')
      for (const { at, length, address } of records) {
        const isWithin = bit >>> 3 >= at && bit >>> 3 < at + length
        expect(recordAt(block, at, address) === undefined, `bit ${bit}, record at ${at}`).toBe(isWithin)
      }
    }
  })

  test('zeroes, and a batch that was cut anywhere, are none', () => {
    const whole = build()
    expect(readBatch(new Block(new Uint8Array(4096)), 0, identity).kind).toBe('none')
    for (let length = 0; length < whole.bytes.length; length += 1) {
      expect(readBatch(new Block(Uint8Array.from(whole.bytes.subarray(0, length))), 0, identity).kind).toBe('none')
    }
  })

  test('a batch of another place, journal or cluster is none', () => {
    const whole = build()
    for (const other of [
      { ...identity, offset: 8192 },
      { ...identity, segment: 3 },
      { ...identity, journal: 4 },
      { ...identity, cluster: { high: 7, low: 8 } },
    ]) {
      expect(readBatch(whole, 0, other).kind).toBe('none')
    }
    expect(recordAt(whole, 48, { journal: 3, segment: 2, offset: 4096 + 56 })).toBeUndefined()
  })

  test('a length that nobody would write makes nobody allocate', () => {
    const bytes = Uint8Array.from(build().bytes)
    new DataView(bytes.buffer).setUint32(4, 0xfffffff8, true)
    expect(readBatch(new Block(bytes), 0, identity)).toEqual({ kind: 'none' })
  })
})
