/** Records in words. */
import { RecordKind, type LogRecord } from '../record.ts'

/** Whose record it is. */
export function describe(record: LogRecord): string {
  const { kind, shard, seq, epoch } = record
  switch (kind) {
    case RecordKind.event:
      return `it is event ${record.version} of ${record.stream} (${record.type}, seq ${seq} of shard ${shard})`
    case RecordKind.snapshot:
      return `it is the snapshot of ${record.stream} at version ${record.version}, in shard ${shard}`
    case RecordKind.opened:
      return `it is the opening of shard ${shard} in epoch ${epoch}`
    case RecordKind.closed:
      return 'it is the record that ends the journal'
    case RecordKind.marked:
      return `it is the mark of position ${record.position}`
  }
}
