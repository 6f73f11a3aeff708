/**
 * Publishes messages to Redis Streams (7.0 or newer, or Valkey): one server, Sentinels or a Redis Cluster. An entry has the
 * fields `id`, to dedupe by, `type`, and `event`, the CloudEvent as JSON.
 *
 * Messages for one stream of Redis' go there by one script, which stops at the first that Redis refuses: in a plain pipeline a
 * later one may succeed where an earlier did not, and the order of an aggregate would be broken. For the same reason an
 * aggregate's messages for two of Redis' streams go one after the other.
 */
import { definitionError, describe } from '../aggregate/error.ts'
import { checkKeys } from '../read/definition-check.ts'
import {
  publisherClosed,
  PublishRefused,
  publisherUnavailable,
  type OpenPublisher,
  type OutboxMessage,
  type Publisher,
  type Publishing,
} from '../react/publisher.ts'
import { RedisCalls } from './redis-calls.ts'
import { checkedRedis, type RedisSettings } from './redis-settings.ts'

export interface RedisStreamOptions {
  readonly redis: RedisSettings
  /** The key of the stream in Redis, or which it is for a message. */
  readonly stream: string | ((message: OutboxMessage) => string)
  /** So many entries a stream keeps, about; the oldest go. Default: all, for ever. */
  readonly maxLen?: number
  /** So long an answer may take. Default 10,000. */
  readonly timeoutMs?: number
}

/**
 * A publisher to Redis Streams, over one connection for each node and outbox. Where an answer is lost the message is added
 * again, with the same `id` in it: whoever reads passes over the ids it has seen.
 */
export function redisStreamPublisher(options: RedisStreamOptions): Publisher {
  checkKeys('redisStreamPublisher', options, { required: ['redis', 'stream'], optional: ['maxLen', 'timeoutMs'] })
  const { redis, stream, maxLen = 0, timeoutMs = 10_000 } = options
  const wrong = (problem: string): Error => definitionError(`redisStreamPublisher: ${problem}`)
  if (typeof stream !== 'function' && (typeof stream !== 'string' || stream === '')) {
    throw wrong(`stream is ${describe(stream)}; give a key, or a function of a message that returns one`)
  }
  if (!Number.isSafeInteger(maxLen) || maxLen < 0) throw wrong(`maxLen is ${describe(maxLen)}; give a whole number`)
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1) {
    throw wrong(`timeoutMs is ${describe(timeoutMs)}; give a number of milliseconds`)
  }
  checkedRedis(redis)
  const keyOf = typeof stream === 'function' ? stream : () => stream
  return { timeoutMs, open: (outbox) => new RedisStreamPublisher(outbox, { redis, keyOf, maxLen, timeoutMs }) }
}

/** So much goes to Redis by one script, at most. */
const WAVE_MESSAGES = 1_000
const WAVE_BYTES = 4 * 1024 * 1024

/**
 * KEYS[1] the stream. ARGV[1] how many entries it keeps, about, or 0 for all; then id, type and event of each message.
 * Returns how many were added, in their order, and why the next was not, or nothing where all were.
 */
const ADD_SCRIPT = `
local keeps = ARGV[1]
local added = 0
for i = 2, #ARGV, 3 do
  local reply
  if keeps == '0' then
    reply = redis.pcall('XADD', KEYS[1], '*', 'id', ARGV[i], 'type', ARGV[i + 1], 'event', ARGV[i + 2])
  else
    reply = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', keeps, '*', 'id', ARGV[i], 'type', ARGV[i + 1], 'event', ARGV[i + 2])
  end
  if type(reply) == 'table' and reply.err then return { added, reply.err } end
  added = added + 1
end
return { added }
`

interface Scripts {
  penholdPublish(...words: readonly (string | number)[]): Promise<readonly [added: number, problem?: string]>
}

interface Settings {
  readonly redis: RedisSettings
  readonly keyOf: (message: OutboxMessage) => string
  readonly maxLen: number
  readonly timeoutMs: number
}

class RedisStreamPublisher implements OpenPublisher {
  readonly #outbox: string
  readonly #settings: Settings
  #calls: RedisCalls | undefined
  #isClosed = false

  constructor(outbox: string, settings: Settings) {
    this.#outbox = outbox
    this.#settings = settings
  }

  async publish(messages: readonly OutboxMessage[], publishing: Publishing): Promise<void> {
    for (const wave of wavesOf(messages, this.#settings.keyOf)) {
      publishing.signal.throwIfAborted()
      if (this.#isClosed) throw publisherClosed(`outbox ${this.#outbox}`)
      const sent = [...wave].map(([key, those]) => this.#add(key, those, publishing))
      const failed = (await Promise.allSettled(sent)).find((each) => each.status === 'rejected')
      if (failed !== undefined) throw failed.reason
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#calls?.close()
  }

  async #add(key: string, messages: readonly OutboxMessage[], { published }: Publishing): Promise<void> {
    const { maxLen } = this.#settings
    const words = messages.flatMap(({ id, event, json }) => [id, event.type, json])
    const calls = this.#connected()
    const [added, problem] = await calls
      .run((client) => (client as unknown as Scripts).penholdPublish(key, maxLen, ...words))
      .catch((error: unknown) => {
        throw this.#isClosed
          ? publisherClosed(`outbox ${this.#outbox}`)
          : publisherUnavailable(`Redis at ${calls.address}`, calls.reasonOf(error))
      })
    for (const message of messages.slice(0, added)) published(message)
    if (problem !== undefined) throw publisherUnavailable(`stream '${key}' of Redis at ${calls.address}`, problem)
  }

  #connected(): RedisCalls {
    if (this.#calls === undefined) {
      const { redis, timeoutMs } = this.#settings
      this.#calls = new RedisCalls(redis, timeoutMs)
      this.#calls.define('penholdPublish', { lua: ADD_SCRIPT, numberOfKeys: 1 })
    }
    return this.#calls
  }
}

/**
 * What may go at once, by key: no aggregate's messages are in it for two keys.
 * @throws PublishRefused for one of which it cannot be told where it goes, behind those before it
 */
function* wavesOf(
  messages: readonly OutboxMessage[],
  keyOf: Settings['keyOf'],
): Generator<ReadonlyMap<string, readonly OutboxMessage[]>> {
  let wave = new Map<string, OutboxMessage[]>()
  let keys = new Map<string, string>()
  let [count, bytes] = [0, 0]
  for (const message of messages) {
    const key = checkedKey(message, keyOf)
    if (key instanceof PublishRefused) {
      if (count > 0) yield wave
      throw key
    }
    const isElsewhere = (keys.get(message.stream) ?? key) !== key
    if (isElsewhere || count >= WAVE_MESSAGES || bytes >= WAVE_BYTES) {
      yield wave
      wave = new Map()
      keys = new Map()
      count = bytes = 0
    }
    keys.set(message.stream, key)
    const group = wave.get(key)
    if (group === undefined) wave.set(key, [message])
    else group.push(message)
    count += 1
    bytes += message.json.length
  }
  if (count > 0) yield wave
}

function checkedKey(message: OutboxMessage, keyOf: Settings['keyOf']): string | PublishRefused {
  try {
    const key: unknown = keyOf(message)
    if (typeof key === 'string' && key !== '') return key
    return new PublishRefused(message, `the stream it goes to is ${describe(key)}; give a key`)
  } catch (error) {
    return new PublishRefused(message, 'which stream it goes to cannot be told', error)
  }
}
