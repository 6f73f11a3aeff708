/**
 * What a user defines of an outbox: which events others may know of, as what, and who publishes that. Pure: nothing here
 * connects to anything. The log is the outbox: there is no second write that could be lost.
 */
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import { definitionError, describe, type PenholdError } from '../aggregate/error.ts'
import { isAsynchronous } from '../aggregate/synchronous.ts'
import { checkChoice, checkHandlers, checkKeys, checkName, checkNumber, checkSource } from '../read/definition-check.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import type { SourceEvents } from '../read/projection.ts'
import type { IntegrationEvent } from './cloud-event.ts'
import type { StartAt } from './consumer.ts'
import { functionPublisher, type Publish, type Publisher } from './publisher.ts'
import { checkStart } from './reactor.ts'

/** Whose events an outbox takes: these aggregates', everybody's, or those that `store.publish` has appended. */
export type OutboxSource = 'all' | 'published' | readonly Aggregate[]

/** Says what others may see of an event; undefined for nothing. Pure and synchronous: it may be asked again. */
export type OutboxMapper<E extends EmittedEvent> = {
  // A method, so that one of events without a definition may say of which type their data is.
  map(event: FeedEvent<E>): IntegrationEvent | undefined
}['map']

type OutboxEvents<From> = From extends readonly Aggregate[] ? SourceEvents<From> : EmittedEvent<any, any>
type EventNamed<E extends EmittedEvent, Name> = E extends EmittedEvent ? (Name extends E['type'] ? E : never) : never

export type OutboxMappers<E extends EmittedEvent> = {
  readonly [K in E['type']]?: OutboxMapper<EventNamed<E, K>>
}

export interface OutboxSettings {
  /**
   * Who publishes. `inside`: the nodes, each for the shards that it serves. `apart`: a process of its own, `penhold outbox`.
   * Default `inside`.
   */
  readonly runs?: 'inside' | 'apart'
  /** What tells this system's messages from others', as a URI: the `source` of each. Default `urn:penhold:` and the name. */
  readonly source?: string
  /**
   * What becomes of an event whose mapper throws, or whose message is refused for good, again and again. `park`: it is put
   * aside, with all later events of its stream, and the others go on. `halt`: its shard stands still before it. Default
   * `park`.
   */
  readonly onFailure?: 'park' | 'halt'
  /** How often that is tried again before, after 100 ms, 200 ms … 10 s. Default 5. */
  readonly retries?: number
  /** So many events of a shard are published together, at most. Default 1,000. */
  readonly batchMax?: number
  /**
   * How long that may take, each call of the publisher, in milliseconds; then it is given up, and what has not arrived is published again.
   * Default 60,000.
   */
  readonly handlerTimeoutMs?: number
  /** A message with more bytes of JSON fails. Default 1,048,576. */
  readonly messageBytesMax?: number
}

export interface OutboxDefinition<From extends OutboxSource> extends OutboxSettings {
  /** Names the outbox in the log and in the ids of messages: 1 to 64 letters, digits, `-` and `_`; never change it. */
  readonly name: string
  /** With which events it begins when it is there for the first time: with new ones, all, or those behind a position. */
  readonly startAt: StartAt
  readonly from: From
  /** By the type of event. Events of other types stay inside. */
  readonly map: OutboxMappers<OutboxEvents<From>>
  readonly publisher: Publisher | Publish
}

/** An outbox's definition with everything filled in, made by `defineOutbox`. */
export interface Outbox extends Required<OutboxSettings> {
  readonly name: string
  readonly startAt: StartAt
  readonly from: OutboxSource
  readonly map: Readonly<Record<string, OutboxMapper<any>>>
  readonly publisher: Publisher
}

/** Where an event says that `store.publish` has appended it. */
export const PUBLISHED_KEY = '$published'

const REQUIRED = ['name', 'startAt', 'from', 'map', 'publisher']
const OPTIONAL = ['runs', 'source', 'onFailure', 'retries', 'batchMax', 'handlerTimeoutMs', 'messageBytesMax']
const RETRIES_MAX = 1_000
const BATCH_EVENTS_MAX = 1_000
const HANDLER_MS_MAX = 86_400_000
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024

/**
 * Defines an outbox: what it maps is published at least once, in order per stream, with ids to dedupe by.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineOutbox<const From extends OutboxSource>(definition: OutboxDefinition<From>): Outbox {
  const name = checkName('outbox', definition)
  const who = `outbox '${name}'`
  checkKeys(who, definition, { required: REQUIRED, optional: OPTIONAL })
  const { startAt, from, map, publisher, source = `urn:penhold:${name}`, onFailure = 'park' } = definition
  const {
    runs = 'inside',
    retries = 5,
    batchMax = 1_000,
    handlerTimeoutMs = 60_000,
    messageBytesMax = 1024 * 1024,
  } = definition
  checkStart(who, startAt)
  if (from !== 'published') checkSource(who, from, 'from', `, 'all' or 'published'`)
  checkHandlers(who, from === 'published' ? 'all' : from, map, 'map')
  const waits = Object.keys(map).find((type) => isAsynchronous(map[type as keyof typeof map]))
  if (waits !== undefined) {
    throw definitionError(
      `${who}: '${waits}' of map is async, or a generator, and mappers are synchronous; what needs waiting for belongs into a reactor, or the event`,
    )
  }
  checkChoice(who, { runs }, ['inside', 'apart'])
  checkChoice(who, { onFailure }, ['park', 'halt'])
  checkNumber(who, { retries }, { min: 0, max: RETRIES_MAX })
  checkNumber(who, { batchMax }, { min: 1, max: BATCH_EVENTS_MAX })
  checkNumber(who, { handlerTimeoutMs }, { min: 1, max: HANDLER_MS_MAX })
  checkNumber(who, { messageBytesMax }, { min: 1_000, max: MESSAGE_BYTES_MAX })
  const wrong = (problem: string): PenholdError => definitionError(`${who}: ${problem}`)
  if (typeof source !== 'string' || !/^[^\s"<>\\^`{|}]+$/.test(source)) {
    throw wrong(`source is ${describe(source)}; give a URI, as 'urn:shop'`)
  }
  const opens = typeof publisher === 'function' ? functionPublisher(publisher) : publisher
  if (typeof (opens as Partial<Publisher> | null)?.open !== 'function') {
    throw wrong(
      `publisher is ${describe(publisher)}; give a publisher, as webhookPublisher({ … }) returns, or a function`,
    )
  }
  const { timeoutMs = 0 } = opens
  if (handlerTimeoutMs < 2 * timeoutMs) {
    throw wrong(
      `handlerTimeoutMs is ${handlerTimeoutMs}, and its publisher waits for an answer for up to ${timeoutMs} ms; give ${2 * timeoutMs} or more, for two answers, or the publisher a smaller timeoutMs`,
    )
  }
  // Looked up by names that may be those of every object, such as `toString`.
  const mappers = Object.assign(Object.create(null) as object, map) as Outbox['map']
  const numbers = { retries, batchMax, handlerTimeoutMs, messageBytesMax }
  const outbox: Outbox = { name, startAt, from, map: mappers, publisher: opens, source, runs, onFailure, ...numbers }
  outboxes.add(outbox)
  return outbox
}

const outboxes = new WeakSet<object>()

/** Whether it is what `defineOutbox` has returned. */
export function isOutbox(value: unknown): value is Outbox {
  return typeof value === 'object' && value !== null && outboxes.has(value)
}
