/** Messages as others may make them, and how an inbox says how far it is with them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { redisStreamSource, type InboxDefinition } from '../../src/index.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { Account, eventually, inboxesOver } from './inbox-over-redis.ts'

describe.skipIf(!hasRedis)('an inbox', () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())
  beforeEach(() => redis.admin.flushall())

  const { define, start, add, amounts } = inboxesOver(() => redis)

  test('it has caught up once all that its source has is done with or parked, and says so at no time before', async () => {
    const gate = Promise.withResolvers<void>()
    await add('anna', 1)
    await add('anna')
    await add(undefined, 1)
    await add('ben', 2)
    const source = redisStreamSource({ redis: redis.url, stream: 'paid', timeoutMs: 2_000 })
    const slow = {
      name: source.name,
      open: () => {
        const opened = source.open()
        const read: typeof opened.read = async (after, limit) => {
          await gate.promise
          return await opened.read(after, limit)
        }
        return { place: (where: 'now' | 'beginning') => opened.place(where), read, close: () => opened.close() }
      },
    }
    const { node, inbox } = await start(define({ source: slow }))
    await eventually(async () => (await inbox.status()).place).toBe('0-0')
    expect(await inbox.status()).toMatchObject({ state: 'running', trouble: undefined })
    gate.resolve()
    await eventually(async () => (await inbox.status()).state).toBe('caught up')
    expect(await amounts(node, 'ben')).toEqual([2])
    expect(await inbox.status()).toMatchObject({ parked: 1, lost: 0 })
    for (let i = 3; i < 6; i += 1) {
      const last = await add('anna', i)
      await redis.admin.xdel('paid', last)
      await eventually(async () => (await inbox.status()).state).toBe('caught up')
      await add('anna', 10 * i)
      await expect.poll(async () => (await inbox.status()).state).toBe('caught up')
      expect((await amounts(node)).at(-1)).toBe(10 * i)
    }
    await redis.admin.del('paid')
    await eventually(async () => (await inbox.status()).state).toBe('caught up')
    redis.pause()
    await eventually(async () => (await inbox.status()).state).toBe('waiting')
    redis.resume()
  })

  test('a message whose correlation is none is parked with that as the reason, and holds back its aggregate', async () => {
    const bad = (await redis.admin.xadd('paid', '*', 'account', 'anna', 'correlation', ''))!
    const waits = (await redis.admin.xadd('paid', '*', 'account', 'anna', 'correlation', 'sale-6'))!
    await redis.admin.xadd('paid', '*', 'account', 'ben', 'correlation', 'sale-7')
    const map: InboxDefinition<[typeof Account]>['map'] = ({ fields: { account, correlation } }) => {
      return {
        aggregate: Account,
        id: account!,
        command: 'deposit',
        payload: { amount: 1 },
        correlationId: correlation!,
      }
    }
    const { node, inbox } = await start(define({ map }))
    await eventually(() => amounts(node, 'ben')).toEqual([1])
    await eventually(async () => (await inbox.parked()).map(({ id }) => id)).toEqual([bad, waits])
    expect((await inbox.parked())[0]!.reason).toContain("its mapper gave '' for the correlationId; give a text")
    expect(await amounts(node)).toEqual([])
    const [event] = await Array.fromAsync(node.store.load('account/ben'))
    expect(event?.metadata.correlationId).toBe('sale-7')
  })

  test('before a message that is too large to be read it halts and names it; deleted it is passed', async () => {
    await add('anna', 1)
    const large = (await redis.admin.xadd('paid', '*', 'account', 'anna', 'more', 'x'.repeat(17 * 1024 * 1024)))!
    await add('anna', 2)
    const { node, inbox } = await start(define())
    await eventually(async () => (await inbox.status()).trouble).toContain(`no further than message ${large}`)
    expect((await inbox.status()).trouble).toMatch(
      /it has 178\d+ bytes, and a message of up to 16777216 is read. Delete it/,
    )
    expect(await amounts(node)).toEqual([1])
    await redis.admin.xdel('paid', large)
    await eventually(() => amounts(node)).toEqual([1, 2])
    await eventually(() => inbox.status()).toMatchObject({ lost: 1, parked: 0 })
  })
})
