/** What handlers and queries of a read model in Redis get: reads at once, and commands that are sent together at the end. */
import { Command, type Redis } from 'ioredis'

/** Commands that read, and can be asked for within a batch. */
const READS = [
  'exists',
  'get',
  'getBuffer',
  'hexists',
  'hget',
  'hgetall',
  'hgetBuffer',
  'hlen',
  'hmget',
  'hscan',
  'lindex',
  'llen',
  'lrange',
  'mget',
  'scard',
  'sismember',
  'smembers',
  'smismember',
  'sscan',
  'strlen',
  'xrange',
  'zcard',
  'zcount',
  'zmscore',
  'zrange',
  'zrank',
  'zrevrank',
  'zscan',
  'zscore',
] as const

export type RedisReads = Pick<Redis, (typeof READS)[number]>

type Word = string | number | Buffer

export interface RedisModel {
  /** The key of that name in this generation. All of a projection are in one slot of a Redis Cluster. */
  readonly key: (name: string) => string
  /** Sees what was committed before this batch: nothing of what `write` was told in it. */
  readonly read: RedisReads
  /** Adds a command that changes keys, such as `write('hincrby', key('balances'), 'nl', 5)`; sent when all handlers are done. */
  readonly write: (command: string, ...words: (Word | readonly Word[])[]) => void
  /** For this batch alone: what its handlers have read or worked out, as `read` does not see what they wrote. */
  readonly batch: Map<string, unknown>
}

/** More words than this in a command, or in a batch, Redis' Lua or protocol would not take. */
const COMMAND_WORDS_MAX = 4_000
const BATCH_WORDS_MAX = 1_000_000

/** Reads that go through something. */
export function createReads(run: (call: (client: RedisReads) => Promise<unknown>) => Promise<unknown>): RedisReads {
  const reads = READS.map((name) => [
    name,
    (...words: never[]) => run((client) => (client[name] as (...given: never[]) => Promise<unknown>)(...words)),
  ])
  return Object.fromEntries(reads) as RedisReads
}

/** The commands of one batch, and the keys that they name. */
export class RedisWrites {
  readonly #prefix: string
  readonly commands: (readonly Word[])[] = []
  readonly keys: Set<string> = new Set()
  #words = 0
  /** Why nothing more is taken. */
  #closed: string | undefined

  /** @param prefix how all keys of the model begin */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  add(name: string, words: readonly (Word | readonly Word[])[]): void {
    if (this.#closed !== undefined) throw new TypeError(this.#closed)
    const given = words.flat()
    if (!given.every(isWord)) throw new TypeError(`${name}: its words are texts, numbers and buffers`)
    const command = new Command(name, given)
    this.#checkKeys(name, command.getKeys())
    this.#words += given.length + 2
    if (given.length > COMMAND_WORDS_MAX) throw new RangeError(`${name}: ${COMMAND_WORDS_MAX} words are the limit`)
    if (this.#words > BATCH_WORDS_MAX)
      throw new RangeError(`a batch has at most ${BATCH_WORDS_MAX} words: make it smaller`)
    this.commands.push([name, ...given])
  }

  close(reason: string): void {
    this.#closed = reason
  }

  #checkKeys(name: string, keys: readonly (string | Buffer)[]): void {
    if (keys.length === 0) throw new TypeError(`${name} changes no key, or is no command of Redis`)
    for (const key of keys.map(String)) {
      if (!key.startsWith(this.#prefix))
        throw new TypeError(`${name}: '${key}' is no key of this generation; name it by key()`)
      this.keys.add(key)
    }
  }
}

function isWord(word: unknown): word is Word {
  return typeof word === 'string' || typeof word === 'number' || Buffer.isBuffer(word)
}
