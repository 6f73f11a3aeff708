/** From records to events in today's shape, for whoever reads them outside of an actor. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError } from '../aggregate/error.ts'
import { missingPath, upcast } from '../aggregate/upcaster.ts'
import type { LogRecord } from '../log/record.ts'
import { toRecordedEvent, type RecordedEvent } from '../log/recorded-event.ts'
import { streamType } from '../log/stream.ts'

export class EventDecoder {
  readonly #aggregates: ReadonlyMap<string, Aggregate>
  /** By stored type and version: those that have a way to today's shape. */
  readonly #known = new Set<string>()

  constructor(aggregates: readonly Aggregate[]) {
    this.#aggregates = new Map(aggregates.map((aggregate) => [aggregate.type, aggregate]))
  }

  /**
   * The event, with upcasters applied. One of an aggregate that nobody has defined stays as it is stored.
   * @throws PenholdError `BadDefinition` where the aggregate's definition has no way to today's shape
   */
  decode(record: LogRecord): RecordedEvent {
    const aggregate = this.#aggregates.get(streamType(record.stream))
    if (aggregate === undefined) return toRecordedEvent(record, record.type, record.data)
    const stored = { type: record.type, version: record.typeVersion }
    this.#check(aggregate, stored)
    const { type, data } = upcast(aggregate, stored, record.data)
    return toRecordedEvent(record, type, data)
  }

  #check(aggregate: Aggregate, stored: { readonly type: string; readonly version: number }): void {
    const key = `${aggregate.type}/${stored.type}@${stored.version}`
    if (this.#known.has(key)) return
    const problem = missingPath(aggregate, stored)
    if (problem !== undefined) throw definitionError(problem)
    this.#known.add(key)
  }
}
