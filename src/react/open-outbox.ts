/**
 * An outbox at work, as a consumer: maps the events of a shard in their order and publishes what comes of them. Where they
 * stand is kept by what runs consumers; here is only what has arrived of events that are not done with, so that it is not
 * published again because others of its batch failed.
 */
import { isThenable } from '../aggregate/synchronous.ts'
import { isInternal, streamType } from '../log/stream.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import { toCloudEvent } from './cloud-event.ts'
import { EventFailed, type BatchReaction, type Consumer } from './consumer.ts'
import { PUBLISHED_KEY, type Outbox } from './outbox.ts'
import { PublishRefused, type OpenPublisher, type OutboxMessage } from './publisher.ts'

export interface OpenOutbox {
  readonly consumer: Consumer
  /** Once it is run no more. */
  close(): Promise<void>
}

/** A message, and the event that it was made of. */
interface Mapped {
  readonly event: FeedEvent
  readonly message: OutboxMessage
}

/** So many messages of a shard are known to have arrived, at most, while others before them have not. */
const ARRIVED_MAX = 10_000

export function openOutbox(outbox: Outbox): OpenOutbox {
  const { name, startAt, onFailure, retries, handlerTimeoutMs, batchMax } = outbox
  const publisher = outbox.publisher.open(name)
  const shards = new Map<number, Arrivals>()
  const many = async (events: readonly FeedEvent[], reaction: BatchReaction): Promise<void> => {
    const { shard } = reaction
    const arrivals = shards.get(shard) ?? new Arrivals()
    shards.set(shard, arrivals)
    await handle(events, reaction, { outbox, publisher, arrivals })
  }
  return {
    consumer: {
      kind: 'outbox',
      name,
      isWanted: wantedBy(outbox),
      startAt,
      onFailure,
      retries,
      handlerTimeoutMs,
      concurrency: 1,
      does: { many, most: batchMax },
    },
    close: () => publisher.close(),
  }
}

function wantedBy({ from, map }: Outbox): (event: FeedEvent) => boolean {
  if (from === 'all') return ({ type, stream }) => map[type] !== undefined && !isInternal(stream)
  if (from === 'published') return ({ type, metadata }) => map[type] !== undefined && metadata[PUBLISHED_KEY] === true
  const types = new Set(from.map(({ type }) => type))
  // Aggregates may have events of the same name.
  return ({ type, stream }) => map[type] !== undefined && types.has(streamType(stream))
}

/** What of a shard has arrived, and is not done with: by the message's id. */
class Arrivals {
  readonly #ids = new Set<string>()

  has({ message }: Mapped): boolean {
    return this.#ids.has(message.id)
  }

  add({ id }: OutboxMessage): void {
    this.#ids.add(id)
    if (this.#ids.size <= ARRIVED_MAX) return
    // Forgotten, it may be published twice, and never not at all.
    const [oldest] = this.#ids
    this.#ids.delete(oldest!)
  }

  /** These are not given again. */
  forget(mapped: readonly Mapped[]): void {
    for (const { message } of mapped) this.#ids.delete(message.id)
  }
}

interface Work {
  readonly outbox: Outbox
  readonly publisher: OpenPublisher
  readonly arrivals: Arrivals
}

/** @throws EventFailed once all before it have arrived; whatever keeps any from arriving */
async function handle(events: readonly FeedEvent[], { signal }: BatchReaction, work: Work): Promise<void> {
  const { mapped, failure } = mapAll(events, work.outbox)
  const refusal = await publishAll(mapped, signal, work)
  const failed = refusal ?? failure
  work.arrivals.forget(refusal === undefined ? mapped : mapped.slice(0, mapped.indexOf(refusal.mapped)))
  if (failed !== undefined) throw new EventFailed(failed.event, failed.cause)
}

interface Failed {
  readonly event: FeedEvent
  readonly cause: unknown
}

/** Up to the first that cannot be mapped: what stands behind it may be of its stream. */
function mapAll(events: readonly FeedEvent[], outbox: Outbox): { mapped: readonly Mapped[]; failure?: Failed } {
  const mapped: Mapped[] = []
  for (const event of events) {
    try {
      const message = toMessage(event, outbox)
      if (message !== undefined) mapped.push({ event, message })
    } catch (cause) {
      return { mapped, failure: { event, cause } }
    }
  }
  return { mapped }
}

function toMessage(event: FeedEvent, { name, map, source, messageBytesMax }: Outbox): OutboxMessage | undefined {
  const integration: unknown = map[event.type]?.(event)
  if (integration === undefined) return undefined
  if (isThenable(integration)) {
    Promise.resolve(integration).catch(() => undefined)
    throw new TypeError('its mapper returned a promise; what needs waiting for belongs into a reactor, or the event')
  }
  if (typeof integration !== 'object' || integration === null) {
    throw new TypeError('its mapper returned neither an integration event nor undefined')
  }
  const cloudEvent = toCloudEvent(event, integration as { readonly type: string }, { outbox: name, source })
  const json = JSON.stringify(cloudEvent)
  const bytes = Buffer.byteLength(json)
  if (bytes > messageBytesMax) {
    throw new TypeError(`its message has ${bytes} bytes, and messageBytesMax is ${messageBytesMax}`)
  }
  return { id: cloudEvent.id, stream: event.stream, event: cloudEvent, json }
}

/** Until all have arrived, or all before the first that is refused. */
async function publishAll(
  mapped: readonly Mapped[],
  signal: AbortSignal,
  { publisher, arrivals }: Work,
): Promise<(Failed & { readonly mapped: Mapped }) | undefined> {
  const published = (message: OutboxMessage): void => arrivals.add(message)
  let refusal: (Failed & { readonly mapped: Mapped }) | undefined
  let left = mapped.filter((each) => !arrivals.has(each))
  while (left.length > 0) {
    signal.throwIfAborted()
    try {
      await publisher.publish(
        left.map(({ message }) => message),
        { signal, published },
      )
      break
    } catch (error) {
      if (!(error instanceof PublishRefused)) throw error
      const at = left.findIndex(({ message }) => message.id === error.refused.id)
      if (at === -1) throw error
      const refused = left[at]!
      refusal = { mapped: refused, event: refused.event, cause: error }
      // Those behind it come again, once somebody knows what becomes of it.
      left = left.slice(0, at).filter((each) => !arrivals.has(each))
    }
  }
  return refusal
}
