/**
 * Messages for an inbox from a stream of Redis' (7.0 or newer, or Valkey). One script reads what stands behind a place
 * together with how many entries there ever were: so it is known how many were trimmed before they were read.
 */
import { assert } from '../aggregate/assert.ts'
import { definitionError, describe, PenholdError } from '../aggregate/error.ts'
import { checkKeys } from '../read/definition-check.ts'
import { sourceUnavailable } from '../react/inbox-error.ts'
import type { InboxMessage, InboxPage, InboxPlace, InboxSource, OpenInboxSource } from '../react/inbox-source.ts'
import { RedisCalls } from './redis-calls.ts'
import { checkedRedis, type RedisSettings } from './redis-settings.ts'

export interface RedisSourceOptions {
  readonly redis: RedisSettings
  /** The key of the stream in Redis. */
  readonly stream: string
  /** So long an answer may take. Default 10,000. */
  readonly timeoutMs?: number
}

/** A stream of Redis' as the source of an inbox. It is read without a consumer group: the inbox's place is in the log. */
export function redisStreamSource(options: RedisSourceOptions): InboxSource {
  checkKeys('redisStreamSource', options, { required: ['redis', 'stream'], optional: ['timeoutMs'] })
  const { redis, stream, timeoutMs = 10_000 } = options
  const wrong = (problem: string): Error => definitionError(`redisStreamSource: ${problem}`)
  if (typeof stream !== 'string' || stream === '') throw wrong(`stream is ${describe(stream)}; give a key`)
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < TIMEOUT_MS_MIN) {
    throw wrong(`timeoutMs is ${describe(timeoutMs)}; give a number of milliseconds from ${TIMEOUT_MS_MIN}`)
  }
  checkedRedis(redis)
  return { name: stream, open: () => new RedisSource(stream, redis, timeoutMs) }
}

const TIMEOUT_MS_MIN = 2_000
/** So long Redis waits for a new entry before it answers that there is none. */
const BLOCK_MS = 1_000
const BEGINNING = '0-0'

/**
 * KEYS[1] the stream. ARGV[1] behind which id; ARGV[2] how many at most. Returns how many entries were ever added, how many are
 * left, the id that was given last, and the entries; where there is no stream, as of an empty one.
 */
const PAGE_SCRIPT = `
if redis.call('EXISTS', KEYS[1]) == 0 then return { 0, 0, '0-0', {} } end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
local info = {}
for i = 1, #about, 2 do info[about[i]] = about[i + 1] end
local entries = {}
if ARGV[2] ~= '0' then entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) end
return { info['entries-added'], info['length'], info['last-generated-id'], entries }
`

type Entry = readonly [id: string, fields: readonly string[]]
type Read = readonly [added: number, length: number, last: string, entries: readonly Entry[]]

interface Scripts {
  penholdPage(key: string, after: string, limit: number): Promise<Read>
}

class RedisSource implements OpenInboxSource {
  readonly #stream: string
  readonly #calls: RedisCalls

  constructor(stream: string, redis: RedisSettings, timeoutMs: number) {
    this.#stream = stream
    this.#calls = new RedisCalls(redis, timeoutMs)
    this.#calls.define('penholdPage', { lua: PAGE_SCRIPT, numberOfKeys: 1 })
  }

  async place(where: 'now' | 'beginning'): Promise<InboxPlace> {
    const [added, length, last] = await this.#page(BEGINNING, 0)
    return where === 'now' ? { id: last, count: added } : { id: BEGINNING, count: added - length }
  }

  async read(after: InboxPlace, limit: number): Promise<InboxPage> {
    const page = this.#taken(after, await this.#page(after.id, limit), limit)
    if (page.messages.length > 0 || page.lost > 0 || page.problem !== undefined) return page
    await this.#run((client) => client.xread('COUNT', 1, 'BLOCK', BLOCK_MS, 'STREAMS', this.#stream, after.id))
    return this.#taken(after, await this.#page(after.id, limit), limit)
  }

  async close(): Promise<void> {
    this.#calls.close()
  }

  #taken(after: InboxPlace, [added, length, last, entries]: Read, limit: number): InboxPage {
    if (added > 0 && isBefore(last, after.id)) {
      // What is added next could stand before the place, and would never be read.
      throw this.#unavailable(
        `stream '${this.#stream}' ends at ${last}, and was read up to ${after.id}: it was made anew, or has lost what it had. What is added behind ${after.id} is read; for what comes before, define an inbox of another name`,
      )
    }
    // A stream that was deleted counts from the beginning again, and so does one that has lost its end.
    const problem =
      added >= after.count
        ? undefined
        : `stream '${this.#stream}' has had ${added} entries, and ${after.count} were read or told as lost: it was deleted, or has lost its end. It is read on behind ${after.id}; what it had there, and was not read, is gone, and nobody knows how many`
    const count = Math.min(after.count, added - entries.length)
    // At the end of the stream all that was added is read, or is not there any more. Before, what is not there may have been read.
    const isEnd = entries.length < limit
    const lost = isEnd ? added - count - entries.length : Math.max(0, added - length - count)
    const messages = entries.map(toMessage)
    const id = messages.at(-1)?.id ?? after.id
    return { messages, lost, problem, place: { id, count: count + lost + messages.length } }
  }

  #page(after: string, limit: number): Promise<Read> {
    return this.#run((client) => (client as unknown as Scripts).penholdPage(this.#stream, after, limit))
  }

  async #run<Result>(call: Parameters<RedisCalls['run']>[0]): Promise<Result> {
    try {
      return (await this.#calls.run(call)) as Result
    } catch (error) {
      throw this.#unavailable(this.#calls.reasonOf(error))
    }
  }

  #unavailable(reason: string): PenholdError {
    return sourceUnavailable(`Redis at ${this.#calls.address}`, reason)
  }
}

/** A field that is there twice is the last one. */
function toMessage([id, words]: Entry): InboxMessage {
  assert(words.length % 2 === 0, 'an entry has a value for each field')
  // By names that may be those of every object, such as `toString`.
  const fields = Object.create(null) as Record<string, string>
  for (let i = 0; i < words.length; i += 2) fields[words[i]!] = words[i + 1]!
  return { id, fields }
}

function isBefore(id: string, other: string): boolean {
  const [[ms, seq], [otherMs, otherSeq]] = [parts(id), parts(other)]
  return ms === otherMs ? seq < otherSeq : ms < otherMs
}

function parts(id: string): readonly [ms: bigint, seq: bigint] {
  const [ms = '0', seq = '0'] = id.split('-')
  return [BigInt(ms), BigInt(seq)]
}
