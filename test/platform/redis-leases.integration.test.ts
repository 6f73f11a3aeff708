import fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Leases } from '../../src/cluster/leases.ts'
import { openRedisLeases } from '../../src/platform/redis-leases.ts'
import type { RedisSettings } from '../../src/platform/redis-settings.ts'
import { beatOf, held, ids, memberOf, TTL, testLeasesContract } from '../cluster/leases-contract.ts'
import { moveRedisClock } from '../redis-clock.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'

const NAME = 'bank'
const KEYS = ['cluster', 'members', 'leases'].map((key) => `{penhold:${NAME}}:${key}`)
const TIMEOUT_MS = 5_000
const unavailable = { code: 'LeasesUnavailable', retryable: true, outcome: 'unknown' }
const want = [{ shard: 1, worker: 0 }]

function open(redis: RedisSettings, timeoutMs = TIMEOUT_MS): Leases {
  const leases = openRedisLeases({ name: NAME, redis, timeoutMs })
  onTestFinished(() => leases.close())
  return leases
}

function documentation(): string {
  return fs.readFileSync(join(import.meta.dirname, '../../docs/redis.md'), 'utf8')
}

function passTime({ admin }: RedisProcess, ms: number): Promise<void> {
  return moveRedisClock(admin, NAME, ms)
}

describe.skipIf(!hasRedis)('on a real Redis', () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())

  testLeasesContract('Redis', async () => {
    const opened: Leases[] = []
    await redis.admin.flushall()
    return {
      connect() {
        const leases = openRedisLeases({ name: NAME, redis: redis.url, timeoutMs: TIMEOUT_MS })
        opened.push(leases)
        return leases
      },
      passTime: (ms) => passTime(redis, ms),
      forget: async () => void (await redis.admin.flushall()),
      cleanUp: async () => void (await Promise.all(opened.map((leases) => leases.close()))),
    }
  })

  test.each([
    ['no JSON', '{'],
    ['no member', '{}'],
    ['null', 'null'],
    ['a member of too many workers', JSON.stringify(memberOf('e', { workers: 1e9 }))],
    ['one with no address', JSON.stringify(memberOf('e', { address: 'nonsense' }))],
    ['one of less than no weight', JSON.stringify(memberOf('e', { weight: -5 }))],
    ['one in no state', JSON.stringify({ ...memberOf('e'), state: 'asleep' })],
    ['one with no list', JSON.stringify({ ...memberOf('e'), away: 7 })],
  ])('a record that is %s is left out, and warned of once', async (_, json) => {
    await redis.admin.flushall()
    const warnings: string[] = []
    const onWarning = (message: string): void => void warnings.push(message)
    const a = openRedisLeases({ name: NAME, redis: redis.url, timeoutMs: TIMEOUT_MS, onWarning })
    onTestFinished(() => a.close())
    await a.beat(beatOf('a', { isNew: true, want }))
    await redis.admin.hset(KEYS[1]!, 'e', `${Date.now() + TTL} ${TTL} x 1 ${json}`, 'f', 'what no node writes')
    for (let beats = 0; beats < 2; beats += 1) {
      const view = await a.beat(beatOf('a', { want }))
      expect(ids(view)).toEqual(['a'])
      expect(held(view)).toEqual(['1 a 0 0'])
    }
    expect(warnings).toHaveLength(1)
  })

  test('a lease that is none is left out, and keys of a later version do no harm', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    await a.beat(beatOf('a', { isNew: true, want }))
    const json = JSON.stringify({ ...memberOf('e'), mood: 'good' })
    await redis.admin.hset(KEYS[1]!, 'e', `${Date.now() + TTL} ${TTL} x 1 ${json}`)
    await redis.admin.hset(KEYS[2]!, 'e', '2:1:4:0,999:0:1:0,3:x:1:0,nonsense,4:300:1:0')
    const view = (await a.look())!
    expect(view.members).toEqual([memberOf('a'), memberOf('e')])
    expect(held(view)).toEqual(['1 a 0 0', '2 e 1 4'])
  })

  test('time is Redis’ own: whoever is silent is gone after its ttl, and leaves nothing behind', async () => {
    await redis.admin.flushall()
    const [a, b] = [open(redis.url, 1_000), open(redis.url, 1_000)]
    await vi.waitFor(() => a.beat(beatOf('a', { isNew: true, want, ttlMs: 4_000 })), { timeout: 60_000 })
    await vi.waitFor(async () => expect(await b.look()).toMatchObject({ members: [], leases: [] }), { timeout: 60_000 })
    expect(await redis.admin.hlen(KEYS[1]!)).toBe(1)
    await vi.waitFor(() => b.beat(beatOf('b')), { timeout: 60_000 })
    expect(await redis.admin.hkeys(KEYS[1]!)).toEqual(['b'])
    expect(await redis.admin.exists(KEYS[2]!)).toBe(0)
  })

  test('a beat that changes nothing writes one field, whatever it holds', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    const cluster = { clusterId: 'large', shards: 4096 }
    const hold = Array.from({ length: 4096 }, (_, shard) => ({ shard, worker: shard % 7, epoch: shard }))
    const first = await a.beat(beatOf('a', { cluster, hold }))
    expect(first.leases.map(({ shard, worker, epoch }) => ({ shard, worker, epoch }))).toEqual(hold)
    const changes = async () =>
      Number(/rdb_changes_since_last_save:(\d+)/.exec(await redis.admin.info('persistence'))![1])
    const before = await changes()
    expect(held(await a.beat(beatOf('a', { cluster, hold: hold.toReversed() })))).toEqual(held(first))
    expect((await changes()) - before).toBe(1)
  })

  test('a clock that is set back keeps nobody for longer than two ttls', async () => {
    await redis.admin.flushall()
    const [a, b] = [open(redis.url), open(redis.url)]
    await a.beat(beatOf('a', { isNew: true, want: [...want, { shard: 2, worker: 0 }] }))
    await a.beat(beatOf('a', { want }))
    await b.beat(beatOf('b', { want: [{ shard: 3, worker: 0 }] }))
    await passTime(redis, -3_600_000 * 24)
    const view = (await b.look())!
    expect(ids(view)).toEqual(['a', 'b'])
    for (const { remainingMs } of view.leases) expect(remainingMs).toBeLessThanOrEqual(TTL)
    await b.beat(beatOf('b'))
    await passTime(redis, TTL * 0.9)
    await b.beat(beatOf('b'))
    await passTime(redis, TTL * 0.2)
    expect(ids(await b.beat(beatOf('b')))).toEqual(['b'])
  })

  test('a lease that its member does not mention ends in time, though the clock is set back', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    await a.beat(beatOf('a', { isNew: true, want }))
    await a.beat(beatOf('a'))
    await passTime(redis, -3_600_000 * 24)
    for (let i = 0; i < 3; i += 1) {
      await a.beat(beatOf('a'))
      await passTime(redis, TTL * 0.5)
    }
    expect(held((await a.look())!)).toEqual([])
  })

  test('who leaves leaves nothing behind', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    await a.beat(beatOf('a', { isNew: true, want }))
    await a.leave('a')
    expect(await redis.admin.keys('*')).toEqual([KEYS[0]])
  })

  test('settling ends in time, though the clock is set back', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    expect((await a.beat(beatOf('a'))).isSettling).toBe(true)
    await passTime(redis, -3_600_000 * 24)
    await a.beat(beatOf('a'))
    await passTime(redis, TTL * 1.1)
    expect(held(await a.beat(beatOf('a', { want })))).toEqual(['1 a 0 0'])
  })

  /** As a restart from a copy that was written then. */
  async function copyOfNow(): Promise<() => Promise<void>> {
    const copied = await Promise.all(KEYS.map((key) => redis.admin.hgetall(key)))
    return async () => {
      await redis.admin.flushall()
      for (const [i, fields] of copied.entries()) {
        if (Object.keys(fields).length > 0) await redis.admin.hset(KEYS[i]!, fields)
      }
    }
  }

  test.each(['nobody', 'one node alone'])('restored from a time with %s, it gives owners time', async (who) => {
    await redis.admin.flushall()
    const [a, b] = [open(redis.url), open(redis.url)]
    await a.beat(beatOf('a', { isNew: true, want: [...want, { shard: 2, worker: 0 }] }))
    if (who === 'nobody') await a.leave('a')
    const restore = await copyOfNow()
    const holdOfA = [{ shard: 1, worker: 0, epoch: 3 }]
    const holdOfB = [{ shard: 2, worker: 1, epoch: 2 }]
    await a.beat(beatOf('a', { hold: holdOfA, release: [{ shard: 2 }] }))
    await b.beat(beatOf('b', { hold: holdOfB }))
    await restore()
    await passTime(redis, TTL * 2)
    expect(held(await a.beat(beatOf('a', { hold: holdOfA })))).toEqual(['1 a 0 3'])
    // By what it sees, the shard is free.
    expect(held(await a.beat(beatOf('a', { hold: holdOfA, want: [{ shard: 2, worker: 0 }] })))).toEqual(['1 a 0 3'])
    expect(held(await b.beat(beatOf('b', { hold: holdOfB })))).toEqual(['1 a 0 3', '2 b 1 2'])
  })

  test('where its members are evicted alone, nobody is granted what they have', async () => {
    await redis.admin.flushall()
    const [a, b] = [open(redis.url), open(redis.url)]
    await a.beat(beatOf('a', { isNew: true, want }))
    await redis.admin.del(KEYS[1]!)
    const view = await b.beat(beatOf('b', { want }))
    expect(view).toMatchObject({ isSettling: true, leases: [] })
    expect(held(await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] })))).toEqual(['1 a 0 3'])
  })

  test('scripts that Redis has forgotten are told again', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    for (let i = 0; i < 3; i += 1) {
      expect(held(await a.beat(beatOf('a', { isNew: true, want })))).toEqual(['1 a 0 0'])
      if (i > 0) await redis.admin.script('FLUSH')
    }
    expect(held((await a.look())!)).toEqual(['1 a 0 0'])
  })

  test('a beat that is overtaken by a later one of its sender has no effect', async () => {
    await redis.admin.flushall()
    const a = open(redis.url)
    await a.beat(beatOf('a', { isNew: true, want }))
    // What a connection that was given up still delivers: the same sender, a lower number.
    const value = (await redis.admin.hget(KEYS[1]!, 'a'))!
    await redis.admin.hset(KEYS[1]!, 'a', value.replace(/^(\S+ \S+ \S+) 1 /, '$1 7 '))
    await expect(a.beat(beatOf('a', { release: [{ shard: 1 }] }))).rejects.toMatchObject(unavailable)
    expect(held((await a.look())!)).toEqual(['1 a 0 0'])
    expect(held(await open(redis.url).beat(beatOf('a', { release: [{ shard: 1 }] })))).toEqual([])
  })

  test('the documented rights are enough, and needed', async () => {
    await redis.admin.flushall()
    const commands = /`ACL SETUSER penhold [^`]*`/.exec(documentation())![0].slice(1, -1).replace('<cluster>', NAME)
    const [, , ...rights] = commands.replace('<password>', 's3cret').split(' ')
    const setUser = (...rules: string[]) => redis.admin.call('ACL', 'SETUSER', ...rules)
    await setUser(...rights)
    onTestFinished(async () => void (await redis.admin.call('ACL', 'DELUSER', 'penhold')))
    const warned = vi.spyOn(console, 'warn')
    onTestFinished(() => warned.mockRestore())
    const settings = { url: redis.url, username: 'penhold', password: 's3cret' }
    const a = open(settings)
    await a.beat(beatOf('a', { isNew: true, want }))
    await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 1 }] }))
    await passTime(redis, TTL * 2)
    await a.beat(beatOf('b', { isNew: true }))
    await a.leave('b')
    await a.beat(beatOf('a', { cluster: { clusterId: 'new', shards: 9 }, isNew: true, release: [{ shard: 1 }] }))
    expect(await a.look()).toBeDefined()
    expect(warned).not.toHaveBeenCalled()

    const other = openRedisLeases({ name: 'other', redis: settings, timeoutMs: TIMEOUT_MS })
    onTestFinished(() => other.close())
    await expect(other.beat(beatOf('a'))).rejects.toThrow('NOPERM')
    const given = rights.filter((right) => right.startsWith('+') && !right.includes('cluster') && right !== '+info')
    for (const right of given) {
      await setUser('penhold', right.replace('+', '-'))
      const failing = async (): Promise<void> => {
        await redis.admin.script('FLUSH')
        const b = open(settings)
        await redis.admin.del(KEYS[2]!, KEYS[1]!)
        await b.beat(beatOf('a', { cluster: { clusterId: right, shards: 9 }, isNew: true, want }))
        await b.beat(beatOf('a', { cluster: { clusterId: right, shards: 9 }, release: want }))
      }
      await expect(failing(), right).rejects.toThrow(/NOPERM|can't run this command/)
      await setUser('penhold', right)
    }
  })
})
