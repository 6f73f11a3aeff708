/**
 * Messages for an inbox from a stream of Redis' (7.0 or newer, or Valkey). One script reads what stands behind a place
 * together with how many entries there ever were: so it is known how many were trimmed before they were read.
 *
 * Others add entries, of any size. So the script takes one after the other, up to a number of bytes, and gives nothing of one that is
 * too large but its size. For the same reason nothing waits in Redis for the next entry (XREAD), which would be given whole: where there
 * is none it is asked for again, a few times a second.
 */
import { setTimeout } from 'node:timers/promises'
import { assert } from '../aggregate/assert.ts'
import { definitionError, describe, PenholdError } from '../aggregate/error.ts'
import { checkKeys } from '../read/definition-check.ts'
import { sourceUnavailable } from '../react/inbox-error.ts'
import {
  MESSAGE_BYTES_MAX,
  PAGE_BYTES_MAX,
  WORD_BYTES,
  type InboxMessage,
  type InboxPage,
  type InboxPlace,
  type InboxSource,
  type OpenInboxSource,
} from '../react/inbox-source.ts'
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
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1) {
    throw wrong(`timeoutMs is ${describe(timeoutMs)}; give a number of milliseconds`)
  }
  checkedRedis(redis)
  return { name: stream, open: () => new RedisSource(stream, redis, timeoutMs) }
}

/** So long it waits for a new entry before it says that there is none; and looks so often, first and at last. */
const WAIT_MS = 1_000
const LOOK_MS_MIN = 5
const LOOK_MS_MAX = 50
const BEGINNING = '0-0'

/**
 * KEYS[1] the stream. ARGV[1] behind which id; ARGV[2] how many at most. Returns how many entries were ever added, how many are
 * left, the id that was given last, the entries, and why there are no more: `end`, `full`, or the id and the bytes of the next one,
 * which is too large. Where there is no stream, as of an empty one.
 */
const PAGE_SCRIPT = `
if redis.call('EXISTS', KEYS[1]) == 0 then return { 0, 0, '0-0', {}, 'end' } end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
local info = {}
for i = 1, #about, 2 do info[about[i]] = about[i + 1] end
local entries, bytes, after, why = {}, 0, ARGV[1], { 'full' }
while #entries < tonumber(ARGV[2]) do
  local entry = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1)[1]
  if not entry then
    why = { 'end' }
    break
  end
  local id, words = entry[1], entry[2]
  local size = #words * ${WORD_BYTES}
  for i = 1, #words do size = size + #words[i] end
  if size > ${MESSAGE_BYTES_MAX} then
    why = { 'too large', id, size }
    break
  end
  bytes = bytes + size
  if #entries > 0 and bytes > ${PAGE_BYTES_MAX} then break end
  entries[#entries + 1] = entry
  after = id
end
return { info['entries-added'], info['length'], info['last-generated-id'], entries, unpack(why) }
`

/** KEYS[1] the stream. ARGV[1] behind which id. Returns 1 where there is an entry, else 0. */
const LOOK_SCRIPT = `return #redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 1)`

type Entry = readonly [id: string, fields: readonly string[]]
type Why = readonly ['end' | 'full'] | readonly ['too large', id: string, bytes: number]
type Read = readonly [added: number, length: number, last: string, entries: readonly Entry[], ...why: Why]

interface Scripts {
  penholdPage(key: string, after: string, limit: number): Promise<Read>
  penholdLook(key: string, after: string): Promise<number>
}

class RedisSource implements OpenInboxSource {
  readonly #stream: string
  readonly #calls: RedisCalls

  constructor(stream: string, redis: RedisSettings, timeoutMs: number) {
    this.#stream = stream
    this.#calls = new RedisCalls(redis, timeoutMs)
    this.#calls.define('penholdPage', { lua: PAGE_SCRIPT, numberOfKeys: 1 })
    this.#calls.define('penholdLook', { lua: LOOK_SCRIPT, numberOfKeys: 1 })
  }

  async place(where: 'now' | 'beginning'): Promise<InboxPlace> {
    const [added, length, last] = await this.#page(BEGINNING, 0)
    return where === 'now' ? { id: last, count: added } : { id: BEGINNING, count: added - length }
  }

  async read(after: InboxPlace, limit: number): Promise<InboxPage> {
    const page = this.#taken(after, await this.#page(after.id, limit))
    if (page.messages.length > 0 || page.lost > 0 || page.problem !== undefined || page.tooLarge !== undefined)
      return page
    await this.#next(after.id)
    return this.#taken(after, await this.#page(after.id, limit))
  }

  async close(): Promise<void> {
    this.#calls.close()
  }

  /** Waits until there is an entry behind an id, and no longer than a while. */
  async #next(after: string): Promise<void> {
    const endMs = performance.now() + WAIT_MS
    for (let ms = LOOK_MS_MIN; performance.now() + ms < endMs; ms = Math.min(2 * ms, LOOK_MS_MAX)) {
      await setTimeout(ms)
      const count = await this.#run<number>((client) => (client as unknown as Scripts).penholdLook(this.#stream, after))
      if (count > 0) return
    }
  }

  #taken(after: InboxPlace, [added, length, last, entries, why, ...next]: Read): InboxPage {
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
    const lost = why === 'end' ? added - count - entries.length : Math.max(0, added - length - count)
    const messages = entries.map(toMessage)
    const id = messages.at(-1)?.id ?? after.id
    const [nextId, bytes] = next
    const tooLarge =
      why === 'too large' && messages.length === 0
        ? { id: nextId!, bytes: bytes!, bytesMax: MESSAGE_BYTES_MAX }
        : undefined
    return { messages, lost, problem, tooLarge, place: { id, count: count + lost + messages.length } }
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
