/** An event among all others, as it stands in the log: nothing of it is decoded before it is asked for. */
import { formatId } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import { formatPlace } from '../read/place.ts'
import type { RawEvent } from './stored-event.ts'

export class RawReadEvent implements RawEvent {
  readonly #record: LogRecord

  constructor(record: LogRecord) {
    this.#record = record
  }

  get id(): string {
    return formatId(this.#record.eventIdSlice)
  }
  get commandId(): string {
    return formatId(this.#record.commandId)
  }
  get stream(): string {
    return this.#record.stream
  }
  get version(): number {
    return this.#record.version
  }
  get type(): string {
    return this.#record.type
  }
  get typeVersion(): number {
    return this.#record.typeVersion
  }
  get position(): number {
    return this.#record.position
  }
  /** Where to read on behind it. */
  get place(): string {
    return formatPlace(this.#record)
  }
  get shard(): number {
    return this.#record.shard
  }
  /** Its number among the events of its shard. */
  get seq(): number {
    return this.#record.seq
  }
  get time(): Date {
    return new Date(this.#record.time)
  }
  get data(): Uint8Array {
    return this.#record.dataBytes
  }
  get metadata(): Uint8Array {
    return this.#record.metadataBytes
  }
}
