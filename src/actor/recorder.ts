/**
 * The recorder: puts a command's events, and now and then a snapshot, into the batch under construction, and moves the
 * actor to the state after them. A command's events are written all or none.
 */
import assert from 'node:assert/strict'
import type { EmittedEvent } from '../aggregate/aggregate.ts'
import { hashPlain } from '../aggregate/plain.ts'
import { encode } from '../log/codec.ts'
import type { IdSource } from '../log/identity.ts'
import type { Log } from '../log/log.ts'
import { RECORD_BYTES_MAX, RecordKind } from '../log/record.ts'
import type { Actor } from './actor.ts'
import { tooLarge } from './error.ts'
import type { Kind } from './kind.ts'
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
  readonly events: readonly EmittedEvent[]
  readonly state: unknown
  readonly now: number
}

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

  /** @throws PenholdError `TooLarge`, with nothing written */
  record(kind: Kind, actor: Actor, decision: Decision): Reply {
    const { message, events, state, now } = decision
    if (events.length === 0) return { kind: 'accepted', version: actor.version, position: 0, records: NOTHING }
    const { log, ids } = this.#options
    // Everything that can fail comes before the first record.
    const { data, metadata } = this.#encode(actor, message, events)
    let position = 0
    let first
    for (let i = 0; i < events.length; i += 1) {
      const { bytes: type, version: typeVersion } = kind.types.get(events[i]!.type)!
      position = log.positions.next()
      ids.write(this.#eventId, 0)
      actor.version += 1
      actor.newest = log.add(actor.stream, {
        kind: RecordKind.event,
        version: actor.version,
        payloadHash: message.payloadHash,
        position,
        previous: actor.newest,
        time: now,
        eventId: this.#eventId,
        commandId: message.commandId,
        typeVersion,
        type,
        data: data[i]!,
        metadata,
      })
      first ??= actor.newest
    }
    assert(first !== undefined)
    actor.state = state
    const records = log.addedBytes(first)
    this.#maybeSnapshot(kind, actor, { since: actor.version - events.length, now, position })
    return { kind: 'accepted', version: actor.version, position, records }
  }

  #encode(
    actor: Actor,
    message: CommandMessage,
    events: readonly EmittedEvent[],
  ): { readonly data: readonly Uint8Array[]; readonly metadata: Uint8Array } {
    const { commandBytesMax } = this.#options
    const metadata = message.metadata === undefined ? NOTHING : encode(message.metadata)
    const data = events.map((event) => encode(event.data))
    const bytes = data.reduce((sum, { length }) => sum + length + metadata.length, 0)
    if (bytes > commandBytesMax) {
      throw tooLarge(`what '${message.name}' on ${actor.stream.name} emits, in bytes,`, bytes, commandBytesMax)
    }
    return { data, metadata }
  }

  #maybeSnapshot(kind: Kind, actor: Actor, at: { since: number; now: number; position: number }): void {
    const { snapshotEvery, stateVersion } = kind.aggregate
    if (snapshotEvery === false) return
    if (Math.floor(actor.version / snapshotEvery) === Math.floor(at.since / snapshotEvery)) return
    const data = this.#encodeState(actor)
    if (data === undefined) return
    actor.newest = this.#options.log.add(actor.stream, {
      kind: RecordKind.snapshot,
      version: actor.version,
      payloadHash: 0,
      position: at.position,
      previous: actor.newest,
      time: at.now,
      eventId: NO_ID,
      commandId: NO_ID,
      typeVersion: stateVersion,
      type: NOTHING,
      data,
      metadata: NOTHING,
    })
  }

  #encodeState(actor: Actor): Uint8Array | undefined {
    const { type } = actor.aggregate
    if (this.#withoutSnapshots.has(type)) return undefined
    try {
      hashPlain(actor.state, 0)
    } catch (error) {
      this.#withoutSnapshots.add(type)
      const problem = error instanceof Error ? error.message : String(error)
      this.#options.onWarning(`no snapshots of ${type}: its state is not plain data (state${problem})`)
      return undefined
    }
    const data = encode(actor.state)
    if (data.length < RECORD_BYTES_MAX / 2) return data
    this.#options.onWarning(`no snapshot of ${actor.stream.name}: its state takes ${data.length} bytes`)
    return undefined
  }
}
