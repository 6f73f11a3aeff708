import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { defineInbox, deriveId, redisStreamSource, type InboxDefinition, type InboxMessage } from '../../src/index.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { Account, eventually, inboxesOver, Purse } from './inbox-over-redis.ts'

describe.skipIf(!hasRedis)('an inbox', () => {
  let redis: RedisProcess
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())
  beforeEach(() => redis.admin.flushall())

  const { define, start, add, amounts } = inboxesOver(() => redis)

  test('sends the command of each message once, in order for each aggregate, after a restart too', async () => {
    const folder = temporaryFolder()
    for (let i = 1; i <= 5; i += 1) for (const id of ['anna', 'ben']) await add(id, i)
    await add('anna')
    const first = await start(define({ batchMax: 3 }), folder)
    await eventually(() => amounts(first.node)).toEqual([1, 2, 3, 4, 5])
    await eventually(() => amounts(first.node, 'ben')).toEqual([1, 2, 3, 4, 5])
    const last = await add('anna', 6)
    await eventually(async () => (await first.inbox.status()).place).toBe(last)
    await first.node.close()

    await add('anna', 7)
    const second = await start(define(), folder)
    await eventually(() => amounts(second.node)).toEqual([1, 2, 3, 4, 5, 6, 7])
    await eventually(() => second.inbox.status()).toMatchObject({
      name: 'payments',
      state: 'caught up',
      parked: 0,
      lost: 0,
    })
    // What it keeps for itself is nobody's event.
    const streams = new Set((await Array.fromAsync(second.node.store.readAll())).map(({ stream }) => stream))
    expect([...streams].toSorted()).toEqual(['account/anna', 'account/ben'])
  })

  test('what was sent before a crash, and not recorded, takes effect once', async () => {
    const folder = temporaryFolder()
    const ids = [await add('anna', 1), await add('anna', 2)]
    const before = await start(define({ startAt: 'now' }), folder)
    await eventually(async () => (await before.inbox.status()).place).toBe(ids[1])
    // As one did that died before it could say how far it was.
    const commandId = deriveId('inbox', 'other', 'paid', ids[0]!)
    await before.node.ref(Account, 'anna').ask('deposit', { amount: 1 }, { commandId })
    await before.node.close()
    const after = await start(define({ name: 'other' }), folder)
    await eventually(() => amounts(after.node)).toEqual([1, 2])
  })

  test('one that starts now takes what comes', async () => {
    await add('anna', 1)
    const { node, inbox } = await start(define({ startAt: 'now' }))
    await eventually(async () => (await inbox.status()).place).toBeDefined()
    await add('anna', 2)
    await eventually(() => amounts(node)).toEqual([2])
  })

  test('a message that cannot be, is parked with the later ones of its aggregate, and the others go on', async () => {
    const noMapping = await add(undefined, 1)
    await add('anna', 1)
    const rejected = await add('anna', 2_000)
    const waits = await add('anna', 2)
    await add('ben', 1)
    const { node, inbox, warnings } = await start(define())
    await eventually(() => amounts(node, 'ben')).toEqual([1])
    await expect
      .poll(async () => (await inbox.parked()).map(({ id, reason }) => [id, reason]))
      .toEqual([
        [noMapping, 'Error: it has no account'],
        [rejected, 'rejected: TooMuch'],
        [waits, ''],
      ])
    expect(await amounts(node)).toEqual([1])
    expect(warnings.join()).toMatch(
      new RegExp(`has parked message ${rejected}: rejected: TooMuch.*\\. Mend that, and have it retried`),
    )
    // Later ones too.
    const later = await add('anna', 3)
    await eventually(async () => (await inbox.parked()).at(-1)?.id).toBe(later)
    // Whichever of them is asked for, the first goes first.
    const failed = { id: rejected, reason: 'rejected: TooMuch' }
    expect(await inbox.retryParked(rejected)).toEqual({ failed })
    expect(await inbox.retryParked(later)).toEqual({ failed })
    expect((await inbox.parked()).find(({ id }) => id === rejected)?.isAsked).toBe(false)
    const isSo = { state: 'running', parked: 4, lost: 0, rejected: 0, trouble: undefined, waitingMs: 0 }
    const { place } = await inbox.status()
    await eventually(async () => (await node.status()).inboxes).toEqual([{ name: 'payments', place, ...isSo }])
    await inbox.skipParked({ id: rejected, reason: 'it was a mistake' })
    await eventually(() => amounts(node)).toEqual([1, 2, 3])
    await eventually(async () => (await inbox.parked()).map(({ id }) => id)).toEqual([noMapping])
    await expect(inbox.retryParked(rejected)).rejects.toMatchObject({ code: 'MessageNotParked' })
  })

  test('whatever a message is like, it is parked, and the others go on', async () => {
    const proto = (await redis.admin.xadd('paid', '*', '__proto__', 'x', 'toString', 'y', 'text', 'ä'))!
    const half = (await redis.admin.xadd('paid', '*', 'json', String.raw`{"account":"\ud800"}`))!
    await add('anna', 1)
    let isMended = false
    const seen: unknown[] = []
    const map: InboxDefinition<[typeof Account]>['map'] = ({ id, fields }) => {
      if (id === proto) seen.push(Object.entries(fields))
      if (id === proto && !isMended) throw new Error('it is for nobody')
      const account = fields['json'] === undefined ? (fields['account'] ?? 'ben') : JSON.parse(fields['json']).account
      return { aggregate: Account, id: account, command: 'deposit', payload: { amount: 1 } }
    }
    const { node, inbox } = await start(define({ map }))
    await eventually(() => amounts(node)).toEqual([1])
    await eventually(async () => (await inbox.parked()).length).toBe(2)
    const parked = await inbox.parked()
    expect(parked.map(({ id, stream }) => [id, stream])).toEqual([
      [proto, undefined],
      [half, undefined],
    ])
    const fields = [
      ['__proto__', 'x'],
      ['toString', 'y'],
      ['text', 'ä'],
    ]
    expect(Object.entries(parked[0]!.fields)).toEqual(fields)
    expect(parked[1]!.reason).toContain('lone surrogate')
    await inbox.skipParked({ id: half, reason: 'it is for nobody' })
    isMended = true
    expect(await inbox.retryParked(proto)).toEqual({ failed: undefined })
    expect(await amounts(node, 'ben')).toEqual([1])
    await eventually(() => inbox.parked()).toEqual([])
    // As it was the first time.
    expect(seen.at(-1)).toEqual(fields)
  })

  test.for([
    ['all that a command may take', 20_000, 16 * 1024, 'raise limits.commandBytesMax'],
    ['all that is ever parked', 70_000, 1024 * 1024, 'a message of up to 65536 can be parked'],
  ] as const)(
    'before a message that fails, and has more than %s, it halts and names it; deleted it is passed',
    async ([, bytes, commandBytesMax, remedy]) => {
      const large = (await redis.admin.xadd('paid', '*', 'more', 'x'.repeat(bytes)))!
      const { node, inbox } = await start(define(), undefined, { limits: { commandBytesMax } })
      await eventually(async () => (await inbox.status()).trouble).toContain(`no further than message ${large}`)
      const { trouble } = await inbox.status()
      expect(trouble).toContain('it has no account')
      expect(trouble).toContain(remedy)
      await redis.admin.xdel('paid', large)
      await add('anna', 1)
      await eventually(() => amounts(node)).toEqual([1])
      await eventually(() => inbox.status()).toMatchObject({ state: 'caught up', lost: 1, parked: 0 })
    },
  )

  test('a rejection can be passed, and is counted', async () => {
    await add('anna', 2_000)
    await add('anna', 1)
    const { node, inbox } = await start(define({ onRejection: 'pass' }))
    await eventually(() => amounts(node)).toEqual([1])
    await eventually(() => inbox.status()).toMatchObject({ rejected: 1, parked: 0 })
  })

  test('a rejection of one that is tried again by hand is counted, also where nothing comes behind it', async () => {
    const parked = await add('anna', 2_000)
    let isMended = false
    const map: InboxDefinition<[typeof Account]>['map'] = ({ fields: { account, amount } }) => {
      if (!isMended) throw new Error('it cannot be read yet')
      return { aggregate: Account, id: account!, command: 'deposit', payload: { amount: Number(amount) } }
    }
    const { inbox } = await start(define({ onRejection: 'pass', map }))
    await eventually(async () => (await inbox.parked()).length).toBe(1)
    isMended = true
    await inbox.retryParked(parked)
    await eventually(() => inbox.status()).toMatchObject({ rejected: 1, parked: 0 })
  })

  test('a rejected message that is tried again takes effect once its aggregate would have it', async () => {
    const id = await add('anna', 400)
    const purses = defineInbox({
      name: 'purses',
      startAt: 'beginning',
      source: redisStreamSource({ redis: redis.url, stream: 'paid' }),
      to: [Purse],
      map: ({ fields: { account, amount } }) =>
        ({ aggregate: Purse, id: account!, command: 'put', payload: { amount: Number(amount) } }) as const,
    })
    const { node, inbox } = await start(purses)
    await eventually(async () => (await inbox.parked()).map(({ reason }) => reason)).toEqual(['rejected: TooMuch'])
    await node.ref(Purse, 'anna').ask('widen', { to: 500 })
    await inbox.retryParked(id)
    await eventually(() => node.ref(Purse, 'anna').query('amount')).toBe(400)
    await eventually(() => inbox.parked()).toEqual([])
  })

  test('one that halts goes no further than what cannot be, and says so', async () => {
    await add('anna', 1)
    const poison = await add('carl', 2_000)
    const { node, inbox } = await start(define({ onFailure: 'halt', batchMax: 2 }))
    await add('anna', 2)
    await eventually(() => inbox.status()).toMatchObject({ state: 'waiting', parked: 0, place: '0-0' })
    expect((await inbox.status()).trouble).toContain(`no further than message ${poison}`)
    expect(await amounts(node)).toEqual([1])
  })

  test('messages that were trimmed before they were read are told of', async () => {
    const ids = [await add('anna', 1), await add('anna', 2), await add('anna', 3)]
    const folder = temporaryFolder()
    const first = await start(define(), folder)
    await eventually(() => amounts(first.node)).toEqual([1, 2, 3])
    await eventually(async () => (await first.inbox.status()).place).toBe(ids[2])
    await first.node.close()
    for (let i = 4; i <= 9; i += 1) await add('anna', i)
    await redis.admin.xtrim('paid', 'MAXLEN', 2)
    const second = await start(define(), folder)
    await eventually(() => amounts(second.node)).toEqual([1, 2, 3, 8, 9])
    await eventually(() => second.inbox.status()).toMatchObject({ lost: 4 })
    expect(second.warnings.join()).toContain('4 messages of paid were removed before they were read')
  })

  test('messages that were deleted one by one before they were read are told of, and those that were read are not', async () => {
    const folder = temporaryFolder()
    const read = [await add('anna', 1), await add('anna', 2)]
    const first = await start(define(), folder)
    await eventually(() => amounts(first.node)).toEqual([1, 2])
    await eventually(async () => (await first.inbox.status()).place).toBe(read[1])
    await first.node.close()
    const unread: string[] = []
    for (let i = 3; i <= 9; i += 1) unread.push(await add('anna', i))
    await redis.admin.xdel('paid', read[0]!, unread[1]!, unread[3]!, unread[6]!)
    const second = await start(define({ batchMax: 2 }), folder)
    await eventually(() => amounts(second.node)).toEqual([1, 2, 3, 5, 7, 8])
    await eventually(() => second.inbox.status()).toMatchObject({ lost: 3 })
    expect(second.warnings.join()).toContain('messages of paid were removed before they were read')
    // What comes and goes meanwhile too; and what was read can go.
    await redis.admin.xdel('paid', read[1]!, unread[0]!)
    await redis.admin.multi().xadd('paid', '9999999999999-0', 'account', 'anna').xdel('paid', '9999999999999-0').exec()
    await redis.admin.xadd('paid', '9999999999999-1', 'account', 'anna', 'amount', 10)
    await eventually(() => amounts(second.node)).toEqual([1, 2, 3, 5, 7, 8, 10])
    await eventually(() => second.inbox.status()).toMatchObject({ lost: 4 })
  })

  test('a stream that was deleted is read on, and what may be missing is told once', async () => {
    const first = await add('anna', 1)
    const source = redisStreamSource({ redis: redis.url, stream: 'paid', timeoutMs: 2_000 })
    const { node, inbox, warnings } = await start(define({ source }))
    await eventually(() => amounts(node)).toEqual([1])
    // An effect is there before it is recorded how far it is.
    const isAt = (place: string) => eventually(async () => (await inbox.status()).place).toBe(place)
    await isAt(first)
    const told = (): readonly string[] => warnings.filter((message) => message.includes('was deleted'))
    await redis.admin.del('paid')
    await eventually(told).toHaveLength(1)
    await add('anna', 2)
    const last = await add('anna', 3)
    await eventually(() => amounts(node)).toEqual([1, 2, 3])
    await isAt(last)
    // What was unread of it is gone.
    await redis.admin.multi().xadd('paid', '*', 'account', 'anna', 'amount', 4).del('paid').exec()
    await eventually(told).toHaveLength(2)
    expect(told()[1]).toContain(`behind ${last}`)
    await add('anna', 5)
    await eventually(() => amounts(node)).toEqual([1, 2, 3, 5])
    expect(told()).toHaveLength(2)
    expect(await inbox.status()).toMatchObject({ lost: 0, parked: 0 })
    const calls = async (command: string): Promise<number> => {
      const stats = await redis.admin.info('commandstats')
      return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1])
    }
    await redis.admin.del('paid')
    await eventually(told).toHaveLength(3)
    // Where there is nothing it looks for something to come, and does not read again and again.
    const [reads, all] = [await calls('exists'), await calls('evalsha')]
    await eventually(async () => (await calls('exists')) - reads).toBeGreaterThanOrEqual(4)
    const pages = (await calls('exists')) - reads
    const looks = (await calls('evalsha')) - all - pages
    expect(looks).toBeGreaterThanOrEqual(pages / 2 - 2)
  })

  test('a stream that ends before where it was read up to is not read as if it were the same', async () => {
    const folder = temporaryFolder()
    await redis.admin.xadd('paid', '9999999999999-0', 'account', 'anna', 'amount', 1)
    const first = await start(define(), folder)
    await eventually(async () => (await first.inbox.status()).place).toBe('9999999999999-0')
    await redis.admin.del('paid')
    await add('anna', 2)
    await eventually(async () => (await first.inbox.status()).trouble).toContain('was made anew')
    expect(await amounts(first.node)).toEqual([1])
  })

  test('while Redis is away it waits', async () => {
    await add('anna', 1)
    const { node, inbox } = await start(
      define({ source: redisStreamSource({ redis: redis.url, stream: 'paid', timeoutMs: 2_000 }) }),
    )
    await eventually(() => amounts(node)).toEqual([1])
    redis.pause()
    await eventually(async () => (await inbox.status()).state).toBe('waiting')
    redis.resume()
    await add('anna', 2)
    await eventually(() => amounts(node)).toEqual([1, 2])
  })

  test('a definition says what is wrong with it', () => {
    const wrong: readonly [change: object, message: string][] = [
      [{ startAt: 5 }, 'startAt is 5'],
      [{ to: [] }, 'to names no aggregate'],
      [{ to: 'all' }, "to is 'all'; give a list of aggregates"],
      [{ source: {} }, 'source is an object'],
      [{ map: {} }, 'map is an object'],
      [{ onRejection: 'x' }, "onRejection is 'x'"],
      [{ batch: 1 }, "it has no 'batch'; the nearest is 'batchMax'"],
    ]
    for (const [change, message] of wrong) expect(() => define(change), message).toThrow(message)
    expect(() => redisStreamSource({ redis: redis.url, stream: '' })).toThrow("stream is ''")
    const map = ({ id }: InboxMessage) =>
      ({ aggregate: Account, id, command: 'deposit', payload: { amount: 1 } }) as const
    define({ map })
    // @ts-expect-error An account has no such command.
    define({ map: ({ id }) => ({ aggregate: Account, id, command: 'depositt', payload: { amount: 1 } }) })
    // @ts-expect-error An amount is a number.
    define({ map: ({ id }) => ({ aggregate: Account, id, command: 'deposit', payload: { amount: '1' } }) })
  })
})
