import { BatchBuilder } from '../../src/log/batch.ts'
import { encode } from '../../src/log/codec.ts'
import { NOWHERE, RecordKind } from '../../src/log/record.ts'
import { copyOf, sliceOf } from '../../src/log/slice.ts'
import { StreamPlacement } from '../../src/log/stream.ts'

/** Events of `account/1` with this data as records, one after the other, as the reply to a command carries them. */
export function eventBytes(...data: readonly unknown[]): Uint8Array {
  const builder = new BatchBuilder({ high: 1, low: 2 })
  builder.begin({ journal: 1, segment: 1, offset: 0, number: 1 })
  const { length } = builder
  for (const [i, each] of data.entries()) {
    builder.add(new StreamPlacement('cluster', 64).stream('account/1'), {
      kind: RecordKind.event,
      epoch: 1,
      seq: i + 1,
      version: i + 1,
      payloadHash: 0,
      position: 2 ** 40 + i,
      previous: NOWHERE,
      time: 1_795_000_000_000,
      eventId: new Uint8Array(16),
      commandId: sliceOf(new Uint8Array(16)),
      typeVersion: 1,
      type: Buffer.from('MoneyDeposited'),
      data: sliceOf(encode(each)),
      metadata: new Uint8Array(),
    })
  }
  return copyOf(builder.since(length))
}
