import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { redisStore, type RedisModel, type RedisStoreOptions } from '../../src/platform/redis-read-model.ts'
import { BEGINNING } from '../../src/read/all.ts'
import type { Change, ReadModel } from '../../src/read/read-model.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { expectWholeAfterKills } from './kill.ts'
import { FIRST } from '../../src/read/control.ts'
import { begin, drop, numbersOf, promote } from './generation-steps.ts'
import { testHangingHandler } from './hanging-store.ts'
import { redisNumbers } from './number-stores.ts'
import { testReadModelContract } from './read-model-contract.ts'

const change = (fields: Partial<Change<RedisModel>>): Change<RedisModel> => ({
  lane: 'all',
  from: BEGINNING,
  to: { position: 1, shard: 0 },
  park: [],
  unpark: [],
  apply: () => undefined,
  ...fields,
})

async function open(options: RedisStoreOptions) {
  const model = await redisStore(options).open('balances')
  onTestFinished(() => model.close())
  return model
}

describe.skipIf(!hasRedis)('on a real Redis', () => {
  let server: RedisProcess
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server?.stop())
  beforeEach(async () => void (await server.admin.flushall()))

  testReadModelContract('a store in Redis', async () => {
    const { set, get } = redisNumbers({ redis: server.url })
    const opened: ReadModel<RedisModel>[] = []
    return {
      set,
      get,
      async open(projection) {
        const model = await redisNumbers({ redis: server.url }).store.open(projection)
        opened.push(model)
        return model
      },
      cleanUp: async () => void (await Promise.all(opened.map((model) => model.close()))),
    }
  })

  const redis = () => server.url

  test('keeps model and place together, whenever its process is killed', { timeout: 120_000 }, () =>
    expectWholeAfterKills(server.url),
  )

  test('reads what was committed before the batch, and sends what it was told at the end', async () => {
    const model = await open({ redis: redis() })
    const apply = async ({ key, read, write, batch }: RedisModel) => {
      const seen = await read.get(key('a'))
      write('set', key('a'), `${seen}!`)
      write('hset', key('h'), ['x', 1, 'y', 2])
      write('sadd', key('bytes'), Buffer.from([0, 255]))
      expect(batch.size).toBe(0)
      batch.set('a', `${seen}!`)
      expect(await read.get(key('a'))).toBe(seen)
      expect(await server.admin.get(key('a'))).toBe(seen)
    }
    await model.commit(1, change({ apply }))
    await model.commit(1, change({ from: { position: 1, shard: 0 }, apply }))
    expect(await model.query(1, ({ key, read }) => read.get(key('a')))).toBe('null!!')
    expect(await model.query(1, ({ key, read }) => read.hgetall(key('h')))).toEqual({ x: '1', y: '2' })
    expect(await server.admin.keys('*')).toEqual(
      expect.arrayContaining(['{penhold-read:balances}:control', '{penhold-read:balances}:1:model:a']),
    )
  })

  test('a generation that cannot be finished is written no more, and a new one is begun', async () => {
    const model = await open({ redis: redis() })
    await model.commit(1, change({ apply: ({ key, write }) => write('set', key('text'), 'x') }))
    const from = { position: 1, shard: 0 }
    const apply = ({ key, write }: RedisModel) => {
      write('incr', key('count'))
      write('incr', key('text'))
      write('incr', key('count'))
    }
    const expected = { code: 'ReadModelUnusable', message: expect.stringContaining('INCR') }
    await expect(model.commit(1, change({ from, apply }))).rejects.toMatchObject(expected)
    await expect(model.commit(1, change({ from }))).rejects.toMatchObject(expected)
    expect((await model.places(1)).get('all')).toEqual(from)
    await promote(model, await begin(model))
    await model.commit(2, change({ apply: ({ key, write }) => write('incr', key('count')) }))
    await drop(model, 1)
    const left = (await server.admin.keys('*')).map((key) => key.replace('{penhold-read:balances}:', ''))
    expect(left.toSorted()).toEqual(['2:keys', '2:model:count', '2:places', 'control'])
  })

  test('where the first command is refused nothing was changed, and the reason is passed on', async () => {
    const model = await open({ redis: redis() })
    await model.commit(1, change({ to: BEGINNING, apply: ({ key, write }) => write('set', key('text'), 'x') }))
    const apply = ({ key, write }: RedisModel) => {
      write('incr', key('text'))
      write('incr', key('count'))
    }
    await expect(model.commit(1, change({ apply }))).rejects.toThrow('not an integer')
    expect(await model.query(1, ({ key, read }) => read.get(key('count')))).toBe(null)
    await model.commit(1, change({}))
    await expect(model.commit(1, change({ from: { position: 1, shard: 0 }, apply }))).rejects.toThrow('not an integer')
    expect((await model.places(1)).get('all')).toEqual({ position: 1, shard: 0 })
    const wrongKind = model.query(1, ({ key, read }) => read.hget(key('text'), 'x'))
    await expect(wrongKind).rejects.toMatchObject({ name: 'ReplyError' })
  })

  test.each<[string, (model: RedisModel) => void]>([
    ['a key that is not the generation’s', ({ write }) => write('set', 'a', 1)],
    ['a second key that is not', ({ key, write }) => write('rename', key('a'), 'b')],
    ['a command without a key', ({ write }) => write('flushall')],
    ['a command that there is not', ({ key, write }) => write('sett', key('a'), 1)],
    ['a word that is none', ({ key, write }) => write('set', key('a'), undefined as never)],
    ['too many words', ({ key, write }) => write('sadd', key('a'), Array.from({ length: 5000 }, String))],
    [
      'too large a batch',
      ({ key, write }) => {
        const words = Array.from({ length: 3000 }, String)
        for (let i = 0; i < 400; i += 1) write('sadd', key('a'), words)
      },
    ],
  ])('a batch with %s is refused, and nothing was changed', async (_, apply) => {
    const model = await open({ redis: redis() })
    await expect(model.commit(1, change({ apply }))).rejects.toThrow(Error)
    expect(await model.places(1)).toEqual(new Map())
    expect(await server.admin.keys('*')).toEqual(['{penhold-read:balances}:control'])
  })

  test('refuses what a handler writes when its batch is over, and what a query writes', async () => {
    const model = await open({ redis: redis() })
    let kept: RedisModel | undefined
    await model.commit(1, change({ apply: (given) => void (kept = given) }))
    expect(() => kept!.write('set', kept!.key('a'), 1)).toThrow('batch is over')
    await expect(model.query(1, ({ key, write }) => write('set', key('a'), 1))).rejects.toThrow('changes nothing')
  })

  test('drops every key of a generation, also where it was interrupted', async () => {
    const model = await open({ redis: redis() })
    const names = Array.from({ length: 2500 }, (_, i) => `n${i}`)
    const parked = { stream: 'a/1', version: 1, place: BEGINNING, type: 'A', reason: '', parkedAt: 0 }
    const apply = ({ key, write }: RedisModel) => {
      for (const name of names) write('set', key(name), 1)
    }
    for (const generation of [await begin(model), await begin(model)]) {
      await model.commit(generation, change({ apply, park: [parked] }))
    }
    await drop(model, 2)
    // As a process that ended in the middle leaves it.
    const keys = await server.admin.keys('*:3:*')
    for (const key of keys) await server.admin.copy(key, `${key}:kept`)
    await drop(model, 3)
    for (const key of keys) await server.admin.rename(`${key}:kept`, key)
    await server.admin.hset('{penhold-read:balances}:control', 'dropped:3', 1)
    const again = await open({ redis: redis() })
    expect(await numbersOf(again)).toEqual({ live: 1, all: [1] })
    expect(await server.admin.keys('*')).toEqual(['{penhold-read:balances}:control'])
    expect(await begin(again)).toBe(4)
  })

  test('a server without room changes nothing, and is to be asked again', async () => {
    const model = await open({ redis: redis() })
    await model.commit(1, change({ to: BEGINNING, apply: ({ key, write }) => write('set', key('a'), 1) }))
    await server.admin.config('SET', 'maxmemory', '1')
    onTestFinished(async () => void (await server.admin.config('SET', 'maxmemory', '0')))
    const next = change({
      apply({ key, write }) {
        write('del', key('a'))
        write('set', key('b'), 1)
      },
    })
    for (const one of [next, change({})]) {
      await expect(model.commit(1, one)).rejects.toMatchObject({ code: 'ReadModelUnavailable', retryable: true })
    }
    await server.admin.config('SET', 'maxmemory', '0')
    expect(await server.admin.exists('{penhold-read:balances}:1:model:a')).toBe(1)
    await model.commit(1, next)
  })

  test('a handler that hangs is not waited for, and changes nothing later', async () => {
    await testHangingHandler(redisNumbers({ redis: redis() }))
  })

  test('does not open what a newer version has made', async () => {
    await server.admin.hset('{penhold-read:balances}:control', 'format', '9')
    await expect(open({ redis: redis() })).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  })
})

describe.skipIf(!hasRedis)('a Redis that comes and goes', () => {
  test('is asked again when it is there; emptied, it begins anew', { timeout: 120_000 }, async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const model = await open({ redis: server.url, timeoutMs: 5_000 })
    await model.commit(1, change({}))
    server.pause()
    const next = change({ from: { position: 1, shard: 0 }, to: { position: 2, shard: 0 } })
    const unavailable = { code: 'ReadModelUnavailable', outcome: 'unknown', retryable: true }
    await expect(model.commit(1, next)).rejects.toMatchObject(unavailable)
    server.resume()
    await vi.waitFor(async () => expect((await model.places(1)).get('all')!.position).toBeGreaterThan(0), 60_000)
    await server.kill()
    await expect(model.places(1)).rejects.toMatchObject(unavailable)
    await server.restart()
    await vi.waitFor(() => expect(model.places(1)).rejects.toMatchObject({ code: 'NoSuchGeneration' }), 60_000)
    // Also for those who have it open.
    expect(await model.control()).toEqual(FIRST)
    expect(await model.places(1)).toEqual(new Map())
    const again = await open({ redis: server.url })
    expect(await again.control()).toEqual(FIRST)
  })

  test('may be a Redis Cluster: all keys of a projection are in one slot', { timeout: 120_000 }, async () => {
    const server = await startRedis(['cluster-enabled yes', 'cluster-announce-ip 127.0.0.1'])
    onTestFinished(() => server.stop())
    await server.admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
    await vi.waitFor(
      async () => expect(await server.admin.call('CLUSTER', 'INFO')).toContain('cluster_state:ok'),
      60_000,
    )
    const redis = { nodes: [`127.0.0.1:${server.port}`] }
    const model = await vi.waitFor(() => open({ redis }), 60_000)
    const second = await begin(model)
    const apply = ({ key, write }: RedisModel) => {
      for (const name of ['a', 'b', 'c']) write('set', key(name), 1)
    }
    await model.commit(second, change({ apply }))
    expect(await model.query(second, ({ key, read }) => read.mget(key('a'), key('b')))).toEqual(['1', '1'])
    await promote(model, second)
    await drop(model, 1)
    expect(await numbersOf(model)).toEqual({ live: 2, all: [2] })
  })
})

test.each([{ prefix: 'a{b}' }, { prefix: '' }, { timeoutMs: 0 }, { redis: { url: 'nonsense' } }])(
  'a store in Redis refuses %j',
  async (options) => {
    const create = async () => await redisStore({ redis: 'redis://localhost', ...options }).open('balances')
    await expect(create()).rejects.toMatchObject({ code: 'BadDefinition' })
  },
)
