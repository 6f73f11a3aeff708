/**
 * Read models in Redis (7.0 or newer, or Valkey): one server, Sentinels or a Redis Cluster. What handlers write is kept back
 * until all are done; then one script looks where the lane stands, moves it and runs the commands. redis-read-model-scripts.ts
 * has the keys.
 *
 * Redis undoes nothing. Where it refuses a command in the middle of a batch (a counter that is no number, a key of another
 * kind), the generation is marked as half changed and is written no more: mend the handler, and rebuild.
 */
import type { Redis } from 'ioredis'
import { assert } from '../aggregate/assert.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { checkKeys } from '../read/definition-check.ts'
import type { AllPlace } from '../read/all.ts'
import { differenceOf, FIRST, goesLiveItself, parseControl, type Control } from '../read/control.ts'
import {
  checkProjectionName,
  noSuchGeneration,
  otherFormat,
  readModelUnavailable,
  readModelUnusable,
} from '../read/read-model-error.ts'
import { LaneMoved, type Change, type ParkedEvent, type ReadModel, type ReadModelStore } from '../read/read-model.ts'
import { RedisCalls } from './redis-calls.ts'
import { createReads, RedisWrites, type RedisModel } from './redis-model.ts'
import { COMMIT_SCRIPT, CONTROL_SCRIPT, REPLACE_SCRIPT } from './redis-read-model-scripts.ts'
import { checkedRedis, type RedisSettings } from './redis-settings.ts'

export type { RedisModel } from './redis-model.ts'

export interface RedisStoreOptions {
  readonly redis: RedisSettings
  /** How keys begin, for clusters that share a Redis. `penhold-read` if not given. */
  readonly prefix?: string
  /** So long an answer may take. 10 s if not given. */
  readonly timeoutMs?: number
}

/** Model and place are changed by one script a batch. Each projection that is open has one connection. */
export function redisStore(options: RedisStoreOptions): ReadModelStore<RedisModel> {
  checkKeys('redisStore', options, { required: ['redis'], optional: ['prefix', 'timeoutMs'] })
  const { redis, prefix = 'penhold-read', timeoutMs = 10_000 } = options
  checkedRedis(redis)
  if (typeof prefix !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(prefix)) {
    throw definitionError(`redisStore: prefix is ${describe(prefix)}; give 1 to 64 letters, digits, '-' and '_'`)
  }
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1) {
    throw definitionError(`redisStore: timeoutMs is ${describe(timeoutMs)}; give a number of milliseconds`)
  }
  return {
    async open(projection) {
      checkProjectionName(projection)
      const model = new RedisReadModel(projection, { root: `{${prefix}:${projection}}`, redis, timeoutMs })
      try {
        await model.prepare()
      } catch (error) {
        await model.close()
        throw error
      }
      return model
    },
  }
}

const FORMAT = '2'
const FIRST_TEXT = JSON.stringify(FIRST)
/** So many words a command of ours has at most, about; and so many keys are deleted at once. */
const CHUNK = 1_000

const SCRIPTS = {
  penholdControl: { lua: CONTROL_SCRIPT, numberOfKeys: 1 },
  penholdReplace: { lua: REPLACE_SCRIPT, numberOfKeys: 2 },
  penholdCommit: { lua: COMMIT_SCRIPT, numberOfKeys: 3 },
}

/** What the script says of a commit. */
type Outcome = 'done' | 'gone' | 'moved' | 'half' | 'refused'
type Word = string | number | Buffer
type Scripts = Record<keyof typeof SCRIPTS, (...words: readonly Word[]) => Promise<unknown>>

class RedisReadModel implements ReadModel<RedisModel> {
  readonly #projection: string
  readonly #root: string
  readonly #control: string
  readonly #calls: RedisCalls
  #isClosed = false

  constructor(
    projection: string,
    { root, redis, timeoutMs }: { readonly root: string; readonly redis: RedisSettings; readonly timeoutMs: number },
  ) {
    this.#projection = projection
    this.#root = root
    this.#control = `${root}:control`
    this.#calls = new RedisCalls(redis, timeoutMs)
    for (const [name, script] of Object.entries(SCRIPTS)) this.#calls.define(name, script)
  }

  /** Makes what is not there, and goes on with what was being dropped. */
  async prepare(): Promise<void> {
    await this.control()
    for (const field of await this.#run((client) => client.hkeys(this.#control))) {
      const generation = /^dropped:(\d+)$/.exec(field)?.[1]
      if (generation !== undefined) await this.#clear(Number(generation))
    }
  }

  async control(): Promise<Control> {
    const [format, record] = (await this.#script('penholdControl', [this.#control, FORMAT, FIRST_TEXT])) as unknown[]
    if (format !== FORMAT) throw otherFormat(this.#where, format)
    return parseControl(record, this.#where)
  }

  async replaceControl(from: Control, to: Control): Promise<boolean> {
    const { begun, dropped } = differenceOf(from, to)
    const about = [from.revision, to.revision, JSON.stringify(to), begun.length, ...begun, ...dropped]
    const next = goesLiveItself(from, to)
    // Where it matters to nobody, a key that is never there.
    const parked = this.#key(next ?? 0, 'parked')
    if ((await this.#script('penholdReplace', [this.#control, parked, ...about])) === 0) return false
    // Nobody sees them any more, and where this fails they are deleted when it is opened next.
    for (const generation of dropped) await this.#clear(generation).catch(() => undefined)
    return true
  }

  async places(generation: number): Promise<ReadonlyMap<string, AllPlace>> {
    await this.#check(generation)
    const lanes = await this.#run((client) => client.hgetall(this.#key(generation, 'places')))
    return new Map(
      Object.entries(lanes).map(([lane, place]) => {
        const [position, shard] = place.split(':').map(Number)
        return [lane, { position: position!, shard: shard! }]
      }),
    )
  }

  async commit(generation: number, change: Change<RedisModel>): Promise<void> {
    const { lane, from, to, unpark, apply } = change
    const writes = new RedisWrites(this.#key(generation, 'model:'))
    try {
      await apply(this.#model(generation, writes))
    } finally {
      writes.close('the batch is over: a handler awaits whatever it does')
    }
    const names = this.#key(generation, 'keys')
    const known = chunks([...writes.keys]).map((keys) => ['sadd', names, ...keys])
    const all = [...known, ...writes.commands, ...this.#parking(generation, change)]
    const commands = all.flatMap((command) => [command.length, ...command])
    const keys = [this.#control, this.#key(generation, 'places'), this.#key(generation, 'parked')]
    const about = [generation, lane, textOf(from), textOf(to), known.length, unpark.length, ...unpark.map(memberOf)]
    const [result, message] = (await this.#script('penholdCommit', [...keys, ...about, ...commands])) as [
      Outcome,
      string,
    ]
    switch (result) {
      case 'done':
        return
      case 'gone':
        throw this.#noSuch(generation)
      case 'moved':
        throw new LaneMoved(lane, from)
      case 'half':
        throw readModelUnusable(`Redis, ${this.#key(generation, 'model:*')}`, halfChanged(message))
      case 'refused':
        throw this.#failure(new Error(message), isPassing(message))
    }
  }

  async query<Answer>(generation: number, ask: (model: RedisModel) => Answer | Promise<Answer>): Promise<Answer> {
    await this.#check(generation)
    const writes = new RedisWrites('')
    writes.close('a query changes nothing')
    return await ask(this.#model(generation, writes))
  }

  async parkedStreams(generation: number): Promise<ReadonlySet<string>> {
    await this.#check(generation)
    const members = await this.#run((client) => client.zrange(this.#key(generation, 'order'), '0', '-1'))
    return new Set(members.map((member) => member.slice(0, member.indexOf('\0'))))
  }

  async parked(
    generation: number,
    { stream, limit }: { readonly stream?: string; readonly limit: number },
  ): Promise<readonly ParkedEvent[]> {
    await this.#check(generation)
    const min = stream === undefined ? '-' : `[${stream}\0`
    const max = stream === undefined ? '+' : `(${stream}\x01`
    const order = this.#key(generation, 'order')
    const members = await this.#run((client) => client.zrangebylex(order, min, max, 'LIMIT', 0, limit))
    if (members.length === 0) return []
    const events = await this.#run((client) => client.hmget(this.#key(generation, 'parked'), ...members))
    // One that was unparked in between is not there any more.
    return events.filter((event) => event !== null).map((event) => JSON.parse(event) as ParkedEvent)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#calls.close()
  }

  #model(generation: number, writes: RedisWrites): RedisModel {
    return {
      key: (name) => this.#key(generation, `model:${name}`),
      read: createReads((call) => this.#run(call)),
      write: (command, ...words) => writes.add(command, words),
      batch: new Map(),
    }
  }

  #parking(generation: number, { unpark, park }: Change<RedisModel>): readonly (readonly Word[])[] {
    const [order, parked] = [this.#key(generation, 'order'), this.#key(generation, 'parked')]
    const members = park.map(memberOf)
    return [
      ...chunks(unpark.map(memberOf)).flatMap((some) => [
        ['zrem', order, ...some],
        ['hdel', parked, ...some],
      ]),
      ...chunks(members).map((some) => ['zadd', order, ...some.flatMap((member) => [0, member])]),
      ...park.map((event, i) => ['hsetnx', parked, members[i]!, JSON.stringify(event)]),
    ]
  }

  /** Deletes what belongs to a generation that was dropped. */
  async #clear(generation: number): Promise<void> {
    const names = this.#key(generation, 'keys')
    for (;;) {
      const keys = await this.#run((client) => client.srandmember(names, CHUNK))
      if (keys.length === 0) break
      // In this order: what is not deleted yet is still known.
      await this.#run((client) => client.unlink(...keys))
      await this.#run((client) => client.srem(names, ...keys))
    }
    const own = ['places', 'order', 'parked'].map((name) => this.#key(generation, name))
    await this.#run((client) => client.unlink(...own))
    await this.#run((client) => client.hdel(this.#control, `dropped:${generation}`))
  }

  get #where(): string {
    return `Redis, ${this.#control}`
  }

  #key(generation: number, name: string): string {
    return `${this.#root}:${generation}:${name}`
  }

  async #check(generation: number): Promise<void> {
    const isThere = await this.#run((client) => client.hexists(this.#control, `g:${generation}`))
    if (isThere === 0) throw this.#noSuch(generation)
  }

  #noSuch(generation: number): Error {
    return noSuchGeneration(this.#projection, generation)
  }

  #script(name: keyof Scripts, words: readonly Word[]): Promise<unknown> {
    return this.#run((client) => (client as unknown as Scripts)[name](...words))
  }

  async #run<Result>(call: (client: Redis) => Promise<Result>): Promise<Result> {
    assert(!this.#isClosed, 'a read model is asked for nothing once it is closed')
    try {
      // A Cluster has the same commands.
      return await this.#calls.run((client) => call(client as Redis))
    } catch (error) {
      const isRefusal = error instanceof Error && error.name === 'ReplyError'
      throw this.#failure(error, !isRefusal || isPassing(error.message))
    }
  }

  #failure(error: unknown, isUnavailable: boolean): unknown {
    if (!isUnavailable) return error
    // Without the command, which ioredis puts into its errors.
    return readModelUnavailable(`Redis at ${this.#calls.address}`, new Error(this.#calls.reasonOf(error)))
  }
}

/** The server refuses everything of that kind, for now. */
function isPassing(message: string): boolean {
  return /^-?(?:OOM|READONLY|MISCONF|LOADING|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|BUSY|MOVED|ASK|NOAUTH|NOPERM)/.test(
    message,
  )
}

function halfChanged(problem: string): string {
  return `Redis refused a command in the middle of a batch, and cannot undo those before it (${problem}). Mend the handler, and rebuild the projection.`
}

function textOf({ position, shard }: AllPlace): string {
  return `${position}:${shard}`
}

/** Sorted as texts they are sorted by stream and version: no stream has the character 0 in its name. */
function memberOf({ stream, version }: { readonly stream: string; readonly version: number }): string {
  return `${stream}\0${String(version).padStart(16, '0')}`
}

function chunks<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / CHUNK) }, (_, i) => items.slice(i * CHUNK, (i + 1) * CHUNK))
}
