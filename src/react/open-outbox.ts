/**
 * An outbox at work, as a consumer: maps the events of a shard in their order and publishes what comes of them. Where they
 * stand is kept by what runs consumers; what has arrived of events that are not done with, by shard-publishing.ts.
 */
import { reasonOf } from '../aggregate/error.ts'
import { isThenable } from '../aggregate/synchronous.ts'
import { within, type Clock } from '../log/clock.ts'
import { isInternal, streamType } from '../log/stream.ts'
import type { FeedEvent } from '../read/event-feed.ts'
import { unchanging } from '../read/feed-event.ts'
import { toCloudEvent } from './cloud-event.ts'
import { EventFailed, type BatchReaction, type Consumer } from './consumer.ts'
import { PUBLISHED_KEY, type Outbox } from './outbox.ts'
import type { OutboxMessage } from './publisher.ts'
import { ShardPublishing, type Known, type Mapped, type ShardPublishingOptions } from './shard-publishing.ts'

export interface OpenOutbox {
  readonly consumer: Consumer
  /** Once it is run no more. Its publisher is somebody else's code: where it fails, that is told, and all else is closed. */
  close(onWarning: (message: string) => void): Promise<void>
}

/** Each call of the publisher has its time. An attempt is a few of them, of which up to three may take all of theirs. */
const ATTEMPT_CALLS = 4
/** So long closing waits for a publisher, which is somebody else's code. */
const CLOSE_MS = 1_000

export function openOutbox(outbox: Outbox, clock: Clock): OpenOutbox {
  const { name, startAt, onFailure, retries, handlerTimeoutMs, batchMax } = outbox
  const publisher = outbox.publisher.open(name)
  const shards = new Map<number, ShardPublishing>()
  const known: Known = { taken: 0, away: 0, unended: 0 }
  const options: ShardPublishingOptions = { publisher, known, most: batchMax, callMs: handlerTimeoutMs, clock }
  const many = async (events: readonly FeedEvent[], reaction: BatchReaction): Promise<void> => {
    const { shard } = reaction
    const publishing = shards.get(shard) ?? new ShardPublishing(options)
    shards.set(shard, publishing)
    await handle(events, reaction, { outbox, publishing })
  }
  return {
    consumer: {
      kind: 'outbox',
      name,
      isWanted: wantedBy(outbox),
      startAt,
      onFailure,
      retries,
      handlerTimeoutMs: ATTEMPT_CALLS * handlerTimeoutMs,
      concurrency: 1,
      does: { many, most: batchMax },
    },
    async close(onWarning) {
      try {
        await within(clock, CLOSE_MS, publisher.close())
      } catch (error) {
        onWarning(`outbox ${name} could not close its publisher: ${reasonOf(error)}`)
      }
    },
  }
}

function wantedBy({ from, map }: Outbox): (event: FeedEvent) => boolean {
  if (from === 'all') return ({ type, stream }) => map[type] !== undefined && !isInternal(stream)
  if (from === 'published') return ({ type, metadata }) => map[type] !== undefined && metadata[PUBLISHED_KEY] === true
  const types = new Set(from.map(({ type }) => type))
  // Aggregates may have events of the same name.
  return ({ type, stream }) => map[type] !== undefined && types.has(streamType(stream))
}

/** @throws EventFailed once all before it have arrived; whatever keeps any from arriving */
async function handle(
  events: readonly FeedEvent[],
  { signal }: BatchReaction,
  { outbox, publishing }: { readonly outbox: Outbox; readonly publishing: ShardPublishing },
): Promise<void> {
  const { mapped, failure } = mapAll(events, outbox)
  const notTaken = await publishing.publish(mapped, signal)
  if (notTaken !== undefined) throw new EventFailed(notTaken.mapped.event, notTaken.cause, notTaken.isAway)
  if (failure !== undefined) throw new EventFailed(failure.event, failure.cause)
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
  const integration: unknown = map[event.type]?.(unchanging(event))
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
