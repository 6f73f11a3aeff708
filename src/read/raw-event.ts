/** An event as it stands in the log: nothing of it is decoded before it is asked for, and no upcaster has seen it. */
import { formatId } from '../log/identity.ts'
import type { LogRecord } from '../log/record.ts'
import { formatPlace } from './place.ts'

export class RawEvent {
  readonly #record: LogRecord

  constructor(record: LogRecord) {
    this.#record = record
  }

  get id(): string {
    return formatId({ bytes: this.#record.eventId, start: 0 })
  }
  get commandId(): string {
    return formatId(this.#record.commandId)
  }
  get stream(): string {
    return this.#record.stream
  }
  /** The event's number in its stream. */
  get version(): number {
    return this.#record.version
  }
  /** The name that it had when it was written, and the version of its shape. */
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
  /** MessagePack; empty where there is none. */
  get data(): Uint8Array {
    return this.#record.dataBytes
  }
  /** The caller's own metadata in MessagePack; empty where there is none. */
  get metadata(): Uint8Array {
    return this.#record.metadataBytes
  }
}
