/**
 * Streams of messages on a server that outlives those who use it: where outboxes of simulated processes publish to, and
 * inboxes take from. It is the twin of what stands over Redis Streams, at the same ports (redis-publisher.ts,
 * redis-inbox.ts), and keeps of that:
 *
 * - Messages for one key go there together, in their order, and up to the first that is not taken: that one and all behind it
 *   were not added. What was added is told one by one, where there is an answer.
 * - An answer that is lost says nothing: what it was about may have been added, or be added later. It is added again then.
 * - A row is read in its order, behind a place that its reader keeps. What is removed from it is gone, and is counted among
 *   what is lost as soon as that can be known: at the latest where a reader comes to the end.
 * - A page has as many bytes as one of a stream of Redis' may have, and so has a message.
 */
import {
  MESSAGE_BYTES_MAX,
  PAGE_BYTES_MAX,
  WORD_BYTES,
  type InboxMessage,
  type InboxPage,
  type InboxPlace,
  type InboxSource,
} from '../react/inbox-source.ts'
import { sourceUnavailable } from '../react/inbox-error.ts'
import {
  publisherClosed,
  PublishRefused,
  publisherUnavailable,
  type OutboxMessage,
  type Publisher,
} from '../react/publisher.ts'
import type { Kernel } from './kernel.ts'
import type { SeededRandom } from './random.ts'
import { SimulatedServer, type Call, type Send } from './simulated-server.ts'
import type { SimulatedThread } from './simulated-thread.ts'

/** A message of an outbox that has arrived just now. */
export interface Arrived {
  readonly key: string
  readonly message: OutboxMessage
  /** The process that sent it. */
  readonly thread: SimulatedThread
}

export interface SimulatedBrokerOptions {
  readonly kernel: Kernel
  readonly random: SeededRandom
  readonly onArrived?: (arrived: Arrived) => void
  /** Whether it refuses this message, for good or for now; asked each time it comes. Left out where it takes all. */
  readonly refuses?: (message: OutboxMessage) => boolean
  /** Whether it does not take this message, and says no more than that it is full. */
  readonly ignores?: (message: OutboxMessage) => boolean
}

export interface PublishingOptions {
  /** Where a message goes. */
  readonly keyOf: (message: OutboxMessage) => string
  /** Whether outboxes are told one by one what has arrived. */
  readonly tells?: boolean
}

/** What became of messages that were to be added: so many were, in their order; and why the next was not. */
interface Added {
  readonly added: number
  readonly problem?: 'refused' | 'full'
}

/** Messages in their order, of which some may be gone. Their ids count all that there ever were: `1-0`, `2-0`, … */
class Row {
  added = 0
  messages: InboxMessage[] = []

  add(fields: InboxMessage['fields']): string {
    const id = `${(this.added += 1)}-0`
    this.messages.push({ id, fields })
    return id
  }
}

const NAME = 'the simulated broker'
/** So long a reader waits where there is nothing, before it looks again. */
const WAIT_MS = 100

export class SimulatedBroker {
  readonly server: SimulatedServer
  readonly #options: SimulatedBrokerOptions
  readonly #rows = new Map<string, Row>()

  constructor(options: SimulatedBrokerOptions) {
    const { kernel, random } = options
    this.#options = options
    this.server = new SimulatedServer({ kernel, random, name: 'broker' })
  }

  /** A publisher as a process has it that runs at a place, on this thread. */
  publisher(place: string, thread: SimulatedThread, { keyOf, tells = true }: PublishingOptions): Publisher {
    const send = this.server.connect(place, thread, (reason) => publisherUnavailable(NAME, reason))
    return {
      open: (outbox) => {
        let isClosed = false
        return {
          publish: async (messages, { signal, published }) => {
            signal.throwIfAborted()
            if (isClosed) throw publisherClosed(`outbox ${outbox}`)
            const sent = [...Map.groupBy(messages, keyOf)].map(([key, those]) =>
              this.#publish(send, { key, messages: those, published: tells ? published : () => undefined }),
            )
            const failed = (await Promise.allSettled(sent)).find((each) => each.status === 'rejected')
            if (failed !== undefined) throw failed.reason
          },
          close: async () => void (isClosed = true),
        }
      },
    }
  }

  /** A row as a process reads it that runs at a place, on this thread. */
  source(key: string, place: string, thread: SimulatedThread): InboxSource {
    return {
      name: key,
      open: () => {
        let isClosed = false
        const connection = this.server.connect(place, thread, (reason) => sourceUnavailable(NAME, reason))
        const send: Send = async (what, effect) => {
          if (isClosed) throw sourceUnavailable(NAME, 'its connection was closed')
          return await connection(what, effect)
        }
        const page = (after: InboxPlace, limit: number): Promise<InboxPage> =>
          send(`read ${key}`, async () => pageOf(this.#row(key), after, limit))
        return {
          place: (where) => send(`place ${key}`, async () => placeIn(this.#row(key), where)),
          read: async (after, limit) => {
            const first = await page(after, limit)
            if (first.messages.length > 0 || first.lost > 0 || first.tooLarge !== undefined) return first
            await new Promise<void>((resolve) => void thread.after(WAIT_MS, resolve))
            return await page(after, limit)
          },
          close: async () => void (isClosed = true),
        }
      },
    }
  }

  /** Somebody else adds a message. Returns its id. */
  add(key: string, fields: InboxMessage['fields']): string {
    return this.#row(key).add(fields)
  }

  /** Removes what stands before the last so many. Returns what is gone. */
  trim(key: string, keeps: number): readonly InboxMessage[] {
    const { messages } = this.#row(key)
    return messages.splice(0, Math.max(0, messages.length - keeps))
  }

  /** Removes a message, wherever it stands. Returns it, where it was still there. */
  remove(key: string, id: string): InboxMessage | undefined {
    const { messages } = this.#row(key)
    const at = messages.findIndex((message) => message.id === id)
    return at === -1 ? undefined : messages.splice(at, 1)[0]
  }

  #row(key: string): Row {
    const row = this.#rows.get(key) ?? new Row()
    this.#rows.set(key, row)
    return row
  }

  async #publish(
    send: Send,
    {
      key,
      messages,
      published,
    }: {
      readonly key: string
      readonly messages: readonly OutboxMessage[]
      readonly published: (message: OutboxMessage) => void
    },
  ): Promise<void> {
    const { added, problem } = await send(`publish ${messages.length}`, (call) => this.#arrive(call, key, messages))
    for (const message of messages.slice(0, added)) published(message)
    if (problem === 'refused') throw new PublishRefused(messages[added]!, 'not wanted')
    if (problem === 'full') throw publisherUnavailable(NAME, 'there is no room')
  }

  async #arrive(call: Call, key: string, messages: readonly OutboxMessage[]): Promise<Added> {
    const { kernel, random, onArrived, refuses, ignores } = this.#options
    await this.server.arrival(call)
    const room = call.fault === 'partly' ? random.below(messages.length) : messages.length
    for (const [added, message] of messages.entries()) {
      if (added === room || ignores?.(message) === true) return { added, problem: 'full' }
      if (refuses?.(message) === true) return { added, problem: 'refused' }
      kernel.note(`message ${message.id}`)
      this.#row(key).add({ id: message.id, event: message.json })
      onArrived?.({ key, message, thread: call.thread })
    }
    return { added: messages.length }
  }
}

function placeIn({ added, messages }: Row, where: 'now' | 'beginning'): InboxPlace {
  return where === 'now' ? { id: `${added}-0`, count: added } : { id: '0-0', count: added - messages.length }
}

function pageOf({ added, messages: all }: Row, after: InboxPlace, limit: number): InboxPage {
  const behind = all.filter(({ id }) => numberOf(id) > numberOf(after.id))
  const messages = fitting(behind.slice(0, limit))
  const next = behind[messages.length]
  // In the middle of a row it is not known what was removed before a reader and what behind it.
  const left = next === undefined && messages.length < limit ? messages.length : all.length
  const lost = Math.max(0, added - left - after.count)
  const id = messages.at(-1)?.id ?? after.id
  const place = { id, count: after.count + lost + messages.length }
  if (next === undefined || messages.length > 0) return { messages, lost, place }
  return { messages, lost, place, tooLarge: { id: next.id, bytes: bytesOf(next), bytesMax: MESSAGE_BYTES_MAX } }
}

/** Of these the first, as many as one page has room for. */
function fitting(messages: readonly InboxMessage[]): readonly InboxMessage[] {
  let bytes = 0
  const over = messages.findIndex((message, i) => {
    const size = bytesOf(message)
    bytes += size
    return size > MESSAGE_BYTES_MAX || (i > 0 && bytes > PAGE_BYTES_MAX)
  })
  return over < 0 ? messages : messages.slice(0, over)
}

function bytesOf({ fields }: InboxMessage): number {
  return Object.entries(fields)
    .flat()
    .reduce((sum, word) => sum + WORD_BYTES + Buffer.byteLength(word), 0)
}

function numberOf(id: string): number {
  return Number.parseInt(id, 10)
}
