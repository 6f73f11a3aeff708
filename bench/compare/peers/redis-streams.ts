/**
 * Redis Streams with appendfsync always: a stream an account, the accounts in memory, pipelines on a few connections.
 *
 * A command is decided on all that was sent before it. Its reply waits for Redis' reply, and a rejection's for the reply
 * to the account's latest event, since that is what it was decided on.
 */
import assert from 'node:assert/strict'

import { Redis } from 'ioredis'

import {
  decide,
  evolve,
  unopenedAccount,
  type Account,
  type AccountCommand,
  type AccountEvent,
} from '../bank-account.ts'
import { Ledger } from '../ledger.ts'
import type { Outcome, Peer } from '../peer.ts'
import { RedisPipeline } from './redis-pipeline.ts'
import { startRedisServer, type RedisServer } from './redis-server.ts'

/** Redis reads a long pipeline in pieces and syncs after each; what several connections sent meanwhile shares a sync. */
const connections = 4
const pageEntries = 10_000

export function createPeer(): Peer {
  return new RedisStreamsPeer()
}

type PendingAccount = {
  account: Account
  version: number
  appended: Promise<void>
  readonly pipeline: RedisPipeline
}

class RedisStreamsPeer implements Peer {
  readonly name = 'Redis Streams, appendfsync always, state in memory'
  readonly #accounts = new Map<string, PendingAccount>()
  #dir!: string
  #server!: RedisServer
  #pipelines: readonly RedisPipeline[] = []

  async open(dir: string): Promise<string> {
    this.#dir = dir
    this.#server = await startRedisServer(dir)
    this.#pipelines = Array.from({ length: connections }, () => new RedisPipeline(this.#server.port))
    return withRedis(this.#server.port, async (redis) => {
      assert.deepEqual(await redis.config('GET', 'appendfsync'), ['appendfsync', 'always'])
      return `Redis ${/redis_version:(\S+)/.exec(await redis.info('server'))?.[1]}`
    })
  }

  async submit(accountId: string, command: AccountCommand): Promise<Outcome> {
    const pending = this.#pending(accountId)
    const event = decide(pending.account, command)
    if (event) {
      pending.account = evolve(pending.account, event)
      pending.version += 1
      pending.appended = pending.pipeline.add({ stream: accountId, version: pending.version, event })
    }
    await pending.appended
    return event ? 'accepted' : 'rejected'
  }

  /** Reads what a new server finds in the file of one that was killed, not what the old one had in memory. */
  async verify(): Promise<Ledger> {
    this.#disconnect()
    await this.#server.end('SIGKILL')
    this.#server = await startRedisServer(this.#dir)
    return withRedis(this.#server.port, readLedger)
  }

  async close(): Promise<void> {
    this.#disconnect()
    await this.#server.end('SIGTERM')
  }

  #disconnect(): void {
    for (const pipeline of this.#pipelines) pipeline.close()
    this.#pipelines = []
    this.#accounts.clear()
  }

  #pending(accountId: string): PendingAccount {
    const known = this.#accounts.get(accountId)
    if (known) return known
    const pipeline = this.#pipelines[this.#accounts.size % connections]
    assert.ok(pipeline, 'The peer is open')
    const unopened = { account: unopenedAccount, version: 0, appended: Promise.resolve(), pipeline }
    this.#accounts.set(accountId, unopened)
    return unopened
  }
}

async function withRedis<Result>(port: number, work: (redis: Redis) => Promise<Result>): Promise<Result> {
  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null })
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}

async function readLedger(redis: Redis): Promise<Ledger> {
  const ledger = new Ledger()
  for (const accountId of await redis.keys('*')) {
    for await (const [id, [, type, , data]] of entriesOf(redis, accountId)) {
      const event = { type, data: JSON.parse(data as string) } as AccountEvent
      ledger.add({ accountId, version: Number.parseInt(id, 10), event })
    }
  }
  return ledger
}

async function* entriesOf(redis: Redis, stream: string): AsyncGenerator<[id: string, fields: string[]]> {
  let page = await redis.xrange(stream, '-', '+', 'COUNT', pageEntries)
  while (page.length > 0) {
    yield* page
    page = await redis.xrange(stream, `(${page.at(-1)?.[0]}`, '+', 'COUNT', pageEntries)
  }
}
