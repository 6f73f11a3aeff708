/**
 * The recorder: puts a command's events, and now and then a snapshot, into the batch under construction, and moves the
 * actor to the state after them. A command's events are written all or none.
 */
import { commandInWords } from '../aggregate/own-names.ts'
import { hashPlain, plainBytes } from '../aggregate/plain.ts'
import { encode, encodeScratch } from '../log/codec.ts'
import { parseId, type IdSource } from '../log/identity.ts'
import type { Log } from '../log/log.ts'
import { RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RecordKind } from '../log/record.ts'
import { NO_BYTES, sliceOf, type Slice } from '../log/slice.ts'
import type { Actor } from './actor.ts'
import { tooLarge } from './error.ts'
import type { DecidedEvent, Verdict } from './kind.ts'
import type { CommandMessage, Reply } from './message.ts'

export interface RecorderOptions {
  readonly log: Log
  readonly ids: IdSource
  readonly commandBytesMax: number
  readonly onWarning: (message: string) => void
}

/** What a command decided, at what time. */
export interface Decision {
  readonly message: CommandMessage
  readonly verdict: Verdict & { readonly kind: 'events' }
  readonly now: number
}

/** An event as it is written. */
interface EncodedEvent {
  readonly event: DecidedEvent
  readonly data: Slice
  readonly metadata: Uint8Array
  readonly now: number
}

/** A record's length is a multiple of 8. */
const PADDING_BYTES_MAX = 7
const NOTHING = new Uint8Array()
const NO_ID = new Uint8Array(16)

export class Recorder {
  readonly #options: RecorderOptions
  readonly #eventId = new Uint8Array(16)
  /** Types whose states turned out not to be plain data: they get no snapshots. */
  readonly #withoutSnapshots = new Set<string>()

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /**
   * Records at least one event, or a creation.
   * @throws PenholdError `TooLarge`, with nothing written
   */
  record(actor: Actor, { message, verdict, now }: Decision): Reply {
    const { log } = this.#options
    const { events, creation } = verdict
    const versionBefore = actor.version
    // Everything that can fail comes before the first record: what is encoded was checked to be plain.
    this.#checkSize(actor, message, creation === undefined ? events : [creation, ...events])
    const common = message.metadata === undefined ? NOTHING : encode(message.metadata)
    const metadata = events.map((event) =>
      event.metadata === undefined ? common : encode({ ...message.metadata, ...event.metadata }),
    )
    let position = 0
    if (creation !== undefined) {
      const data = sliceOf(encode(creation.data))
      position = this.#add(actor, message, { event: creation, data, metadata: NOTHING, now })
    }
    const encoded = encodeAll(events)
    const from = log.batchBytes
    for (const [i, event] of events.entries()) {
      actor.version += 1
      position = this.#add(actor, message, { event, data: encoded[i]!, metadata: metadata[i]!, now })
    }
    actor.state = verdict.next()
    // Where there are none, nothing of the batch is kept.
    const records = events.length === 0 ? NO_BYTES : log.added(from)
    this.#maybeSnapshot(actor, { versionBefore, now, position })
    return { kind: 'accepted', version: actor.version, position, records }
  }

  /** Adds an event with the actor's version, and returns its position. */
  #add(actor: Actor, message: CommandMessage, { event, data, metadata, now }: EncodedEvent): number {
    const { log, ids } = this.#options
    const { bytes: type, version: typeVersion } = actor.kind.shapeOf(event.type)
    const position = log.positions.next(now)
    if (event.id === undefined) ids.write(this.#eventId, 0, now)
    actor.newest = log.add(actor.stream, {
      kind: RecordKind.event,
      epoch: 0,
      seq: 0,
      version: actor.version,
      payloadHash: message.payloadHash,
      position,
      previous: actor.newest,
      time: now,
      eventId: event.id === undefined ? this.#eventId : parseId(event.id).bytes,
      commandId: message.commandId,
      typeVersion,
      type,
      data,
      metadata,
    })
    return position
  }

  #checkSize(actor: Actor, message: CommandMessage, events: readonly DecidedEvent[]): void {
    const { commandBytesMax } = this.#options
    let bytes = 0
    const overhead = RECORD_HEADER_BYTES + PADDING_BYTES_MAX + actor.stream.bytes.length + plainBytes(message.metadata)
    for (const event of events) {
      bytes += plainBytes(event.data) + actor.kind.shapeOf(event.type).bytes.length + overhead
      if (event.metadata !== undefined) bytes += plainBytes(event.metadata)
    }
    if (bytes > commandBytesMax) {
      throw tooLarge(`what comes of ${commandInWords(message)}, in bytes,`, bytes, commandBytesMax)
    }
  }

  #maybeSnapshot(actor: Actor, at: { versionBefore: number; now: number; position: number }): void {
    const snapshotEvery = actor.kind.snapshotEvery(actor.state)
    if (snapshotEvery === false) return
    if (Math.floor(actor.version / snapshotEvery) === Math.floor(at.versionBefore / snapshotEvery)) return
    this.#writeSnapshot(actor, at)
  }

  /** Records a snapshot of the actor's state. Returns whether it can have one. */
  snapshot(actor: Actor, now: number): boolean {
    return this.#writeSnapshot(actor, { now, position: this.#options.log.positions.last })
  }

  #writeSnapshot(actor: Actor, at: { readonly now: number; readonly position: number }): boolean {
    const data = this.#encodeState(actor)
    if (data === undefined) return false
    actor.newest = this.#options.log.add(actor.stream, {
      kind: RecordKind.snapshot,
      epoch: 0,
      seq: 0,
      version: actor.version,
      payloadHash: 0,
      position: at.position,
      previous: actor.newest,
      time: at.now,
      eventId: NO_ID,
      commandId: sliceOf(NO_ID),
      typeVersion: actor.kind.snapshotVersion,
      type: NOTHING,
      data: sliceOf(data),
      metadata: NOTHING,
    })
    return true
  }

  #encodeState(actor: Actor): Uint8Array | undefined {
    const { name } = actor.kind
    if (this.#withoutSnapshots.has(name)) return undefined
    let data: Uint8Array
    try {
      const state = actor.kind.snapshotOf(actor.state)
      hashPlain(state, 0)
      data = state === undefined ? NOTHING : encode(state)
    } catch (error) {
      if (actor.kind.aggregate !== undefined) this.#withoutSnapshots.add(name)
      const problem = error instanceof Error ? error.message : String(error)
      this.#options.onWarning(
        `no snapshots of ${actor.kind.aggregate === undefined ? actor.stream.name : name}: its state is not plain data (state${problem})`,
      )
      return undefined
    }
    if (data.length < RECORD_BYTES_MAX / 2) return data
    this.#options.onWarning(`no snapshot of ${actor.stream.name}: its state takes ${data.length} bytes`)
    return undefined
  }
}

/** The events' data. Where there are several, each in memory of its own, as the scratch holds one at a time. */
function encodeAll(events: readonly DecidedEvent[]): readonly Slice[] {
  return events.map(({ data }) => {
    if (data === undefined) return NO_BYTES
    return events.length === 1 ? encodeScratch(data) : sliceOf(encode(data))
  })
}
