/**
 * Events up to a position, with all that their commands wrote: a command's events have positions of their own, and are
 * written all or none. Those that stand above the position are of the same batch, and have the same causes as those below.
 */
import { BATCH_BYTES_LIMIT } from '../log/batch.ts'
import { RECORD_HEADER_BYTES, type LogRecord } from '../log/record.ts'
import type { AllReader, Frontier } from './all.ts'

/** A command's events have positions without a gap, and stand in one batch. */
const SPREAD_MAX: number = Math.ceil(BATCH_BYTES_LIMIT / RECORD_HEADER_BYTES)

/** What the reader has up to the frontier's position. @throws PenholdError `LogCorrupt` */
export async function* wholeCommands(reader: AllReader, frontier: Frontier): AsyncGenerator<readonly LogRecord[]> {
  /** By shard. */
  const last = new Map<number, LogRecord>()
  for await (const events of reader.advance(frontier)) {
    for (const event of events) last.set(event.shard, event)
    yield events
  }
  for await (const events of reader.advance({ ...frontier, position: frontier.position + SPREAD_MAX })) {
    const rest: LogRecord[] = []
    for (const event of events) {
      const before = last.get(event.shard)
      last.delete(event.shard)
      if (before === undefined || !isOfSameCommand(before, event)) continue
      rest.push(event)
      last.set(event.shard, event)
    }
    if (rest.length > 0) yield rest
  }
}

function isOfSameCommand(a: LogRecord, b: LogRecord): boolean {
  const ids = [a.commandId, b.commandId].map(({ bytes, start, end }) => Buffer.from(bytes.slice(start, end)))
  return b.seq === a.seq + 1 && ids[0]!.equals(ids[1]!) && Buffer.from(a.streamBytes).equals(b.streamBytes)
}
