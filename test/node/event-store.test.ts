import { describe, expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, deriveId, startNode, type Aggregate, type Node } from '../../src/index.ts'
import { decode } from '../../src/log/codec.ts'
import { temporaryFolder } from '../temporary.ts'

const Counter = defineAggregate({
  type: 'counter',
  initialState: () => ({ sum: 0 }),
  events: {
    Added: ({ sum }, { by }: { by: number }) => {
      if (by === 13) throw new Error('no thirteen')
      return { sum: sum + by }
    },
  },
  commands: { add: (_state, { by }: { by: number }, { emit }) => emit.Added({ by }) },
  queries: { sum: ({ sum }) => sum },
  renamedEvents: { Increased: 'Added' },
  upcasters: { Added: [(data: { amount: number }) => ({ by: data.amount })] },
})

async function start(
  folder = temporaryFolder(),
  aggregates: readonly Aggregate[] = [Counter],
  limits = {},
): Promise<Node> {
  const node = await startNode(
    defineCluster({
      name: 'streams',
      aggregates,
      dataDir: folder,
      workers: 'inline',
      shards: 4,
      segmentBytes: 256 * 1024,
      limits,
      onWarning: () => undefined,
    }),
  )
  onTestFinished(() => node.close())
  return node
}

async function all<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  return Array.fromAsync(events)
}

async function versions(events: AsyncIterable<{ readonly version: number }>): Promise<number[]> {
  return (await all(events)).map(({ version }) => version)
}

const many = (count: number, from = 1) =>
  Array.from({ length: count }, (_, i) => ({ type: 'Ticked', data: { n: from + i } }))
const of = (id: string, version: number) => ({ type: 'Placed', aggregate: { type: 'order', id, version } })
const code = (error: string) => expect.objectContaining({ code: error, outcome: 'none' }) as Error

describe('append', () => {
  test('creates a simple stream where it is missing, and goes on where it is', async () => {
    const { store } = await start()
    const first = await store.append('audit/2026', [{ type: 'LoggedIn', data: { user: 'ä' } }, { type: 'LoggedOut' }])
    expect(first.version).toBe(2)
    expect(first.events.map(({ type, version, data }) => [type, version, data])).toEqual([
      ['LoggedIn', 1, { user: 'ä' }],
      ['LoggedOut', 2, undefined],
    ])
    expect((await store.append('audit/2026', [{ type: 'LoggedIn', data: null }])).version).toBe(3)
    expect((await all(store.load('audit/2026'))).map(({ data }) => data)).toEqual([{ user: 'ä' }, undefined, null])
    expect(await store.info('audit/2026')).toEqual({ persistence: 'simple', version: 3, metadata: {} })
  })

  test('is refused where the stream is not as expected, and says how it is', async () => {
    const { store } = await start()
    const append = (expectedVersion: number | 'any' | 'no-stream' | 'stream-exists') =>
      store.append('a/1', many(1), { expectedVersion })
    const refused = (expected: unknown, actual: unknown) =>
      expect.objectContaining({ code: 'ConcurrencyError', details: { stream: 'a/1', expected, actual } }) as Error
    await expect(append('stream-exists')).rejects.toThrow(refused('stream-exists', 'no-stream'))
    await expect(append(1)).rejects.toThrow(refused(1, 'no-stream'))
    await append(0)
    await append(1)
    await append('stream-exists')
    await append('any')
    await expect(append('no-stream')).rejects.toThrow(refused('no-stream', 4))
    await expect(append(3)).rejects.toThrow(refused(3, 4))
    await expect(append(5)).rejects.toThrow(refused(5, 4))
    expect(await versions(store.load('a/1'))).toEqual([1, 2, 3, 4])
  })

  test('of many at once, who expects the same version gets it once', async () => {
    const { store } = await start()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => store.append('a/1', many(2), { expectedVersion: 'no-stream' })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await versions(store.load('a/1'))).toEqual([1, 2])
  })

  test('keeps the ids, and the metadata of the append under that of each event', async () => {
    const { store } = await start()
    const id = deriveId('an event')
    const correlationId = deriveId('what set it off')
    const given = await store.append('a/1', [{ type: 'A', id, metadata: { tenant: 'x' } }, { type: 'B' }], {
      metadata: { tenant: 'y', correlationId },
    })
    const read = await all(store.load('a/1'))
    expect(read).toEqual(given.events)
    expect(read[0]).toMatchObject({ id, metadata: { tenant: 'x', correlationId } })
    expect(read[1]!.metadata['tenant']).toBe('y')
    expect(read[1]!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  })

  test('with a command id that is known gives the first outcome, also in a later life', async () => {
    const folder = temporaryFolder()
    const node = await start(folder)
    const commandId = deriveId('once')
    const first = await node.store.append('a/1', many(2), { commandId })
    await node.store.append('a/1', many(1))
    const again = () => ({ commandId, expectedVersion: 'no-stream' }) as const
    expect((await node.store.append('a/1', many(2), again())).events).toEqual(first.events)
    await expect(node.store.append('a/1', many(3), { commandId })).rejects.toThrow(code('CommandIdReused'))
    await node.close()
    const { store } = await start(folder)
    expect((await store.append('a/1', many(2), again())).events).toEqual(first.events)
    expect(await versions(store.load('a/1'))).toEqual([1, 2, 3])
  })

  test.each<[string, string, unknown, unknown?]>([
    ['BadAddress', 'a name without a category', many(1), 'audit'],
    ['BadAddress', 'a category that is none', many(1), '$all/1'],
    ['BadAddress', 'an id that is none', many(1), 'a/'],
    ['BadPayload', 'no events', []],
    ['BadPayload', 'no list', 'events'],
    ['BadPayload', 'an event without a type', [{ data: 1 }]],
    ['BadPayload', 'a type of ours', [{ type: '$created' }]],
    ['BadPayload', 'a type with a control character', [{ type: 'a\n' }]],
    ['BadPayload', 'a type that is too long', [{ type: 'ä'.repeat(128) }]],
    ['BadPayload', 'a misspelt key', [{ type: 'A', payload: 1 }]],
    ['BadPayload', 'an id that is none', [{ type: 'A', id: '7' }]],
    [
      'BadPayload',
      'an id twice',
      [
        { type: 'A', id: deriveId(1) },
        { type: 'A', id: deriveId(1).toUpperCase() },
      ],
    ],
    ['BadPayload', 'metadata of ours', [{ type: 'A', metadata: { $aggregate: 1 } }]],
    ['BadPayload', 'data that is not plain', [{ type: 'A', data: { at: new Date() } }]],
    ['BadPayload', 'an aggregate that is none', [{ type: 'A', aggregate: { type: 'a', id: '1' } }]],
    ['BadPayload', 'a version from 0', [{ type: 'A', aggregate: { type: 'a', id: '1', version: 0 } }]],
    ['TooLarge', 'too many events', many(1_001)],
    ['TooLarge', 'too many bytes', [{ type: 'A', data: 'x'.repeat(1024 * 1024) }]],
  ])('is refused with %s for %s, and nothing happens', async (error, _, events, name = 'a/1') => {
    const { store } = await start()
    await expect(store.append(name as string, events as [])).rejects.toThrow(code(error))
    expect(await store.info('a/1')).toBeUndefined()
  })

  test('is refused for an option that is misspelt, or means nothing', async () => {
    const { store } = await start()
    const append = (options: object) => store.append('a/1', many(1), options)
    await expect(append({ expectedVerison: 1 })).rejects.toThrow("nearest is 'expectedVersion'")
    await expect(append({ expectedVersion: -1 })).rejects.toThrow(code('BadPayload'))
    await expect(append({ commandId: '1' })).rejects.toThrow(code('BadPayload'))
    await expect(append({ metadata: { $mine: 1 } })).rejects.toThrow(code('BadPayload'))
    expect(() => store.load('a/1', { from: 3, to: 2 })).toThrow(code('BadPayload'))
    expect(() => store.load('a/1', { filter: { metadata: { a: { range: {} } } } })).toThrow(code('BadPayload'))
    expect(() => store.load('a/1', { limit: 1.5 })).toThrow(code('BadPayload'))
  })
})

describe('a partitioned stream', () => {
  test('checks the versions of each aggregate in it', async () => {
    const folder = temporaryFolder()
    const node = await start(folder)
    await node.store.append('orders/all', [of('7', 1), of('8', 1), of('7', 2)])
    const late = node.store.append('orders/all', [of('8', 2), of('7', 2)])
    await expect(late).rejects.toThrow(
      expect.objectContaining({
        code: 'ConcurrencyError',
        details: { stream: 'orders/all', aggregate: { type: 'order', id: '7' }, expected: 1, actual: 2 },
      }) as Error,
    )
    await expect(node.store.append('orders/all', [of('9', 2)])).rejects.toThrow(code('ConcurrencyError'))
    await expect(node.store.append('orders/all', many(1))).rejects.toThrow(code('BadPayload'))
    await node.store.append('orders/all', [of('8', 2)], { expectedVersion: 3 })
    await node.close()
    const { store } = await start(folder)
    expect(await store.info('orders/all')).toEqual({ persistence: 'partitioned', version: 4, metadata: {} })
    await expect(store.append('orders/all', [of('8', 2)])).rejects.toThrow(code('ConcurrencyError'))
    await store.append('orders/all', [of('8', 3)])
    const read = await all(store.load('orders/all', { filter: { aggregate: { type: 'order', id: '8' } } }))
    expect(read.map(({ version, aggregate }) => [version, aggregate])).toEqual([
      [2, { type: 'order', id: '8', version: 1 }],
      [4, { type: 'order', id: '8', version: 2 }],
      [5, { type: 'order', id: '8', version: 3 }],
    ])
    expect(read[0]!.metadata).not.toHaveProperty('$aggregate')
  })

  test('takes nothing of an append that is too large for it', async () => {
    const { store } = await start(temporaryFolder(), [], { commandBytesMax: 16_384 })
    // Each record has bytes of its own, which the caller does not see.
    const events = Array.from({ length: 80 }, (_, i) => of('7', i + 1))
    await expect(store.append('orders/all', events)).rejects.toThrow(
      'what comes of an append to orders/all, in bytes, takes',
    )
    await store.append('orders/all', [of('7', 1)])
  })

  test('goes on from its snapshots, also with more aggregates than events between them', async () => {
    const folder = temporaryFolder()
    const node = await start(folder)
    for (let round = 1; round <= 3; round += 1) {
      await node.store.append(
        'orders/all',
        Array.from({ length: 700 }, (_, i) => of(`${i}`, round)),
      )
    }
    await node.close()
    const { store } = await start(folder)
    await expect(store.append('orders/all', [of('699', 3)])).rejects.toThrow(code('ConcurrencyError'))
    await store.append('orders/all', [of('699', 4), of('0', 4)])
    expect((await store.info('orders/all'))!.version).toBe(2102)
  })
})

describe('create', () => {
  test('makes a stream that remembers what it was created with, without events and with some', async () => {
    const folder = temporaryFolder()
    const node = await start(folder)
    const created = await node.store.create('orders/all', { persistence: 'partitioned', metadata: { of: 'us' } })
    expect([created.version, created.events]).toEqual([0, []])
    expect(created.position).toBeGreaterThan(0)
    const commandId = deriveId('make it')
    const other = await node.store.create('a/1', { metadata: { a: 1 }, events: many(2), commandId })
    await expect(node.store.append('orders/all', [of('1', 1)], { expectedVersion: 'no-stream' })).rejects.toThrow(
      code('ConcurrencyError'),
    )
    await node.close()
    const { store } = await start(folder)
    expect(await store.info('orders/all')).toEqual({ persistence: 'partitioned', version: 0, metadata: { of: 'us' } })
    await expect(store.create('orders/all')).rejects.toThrow(code('ConcurrencyError'))
    await expect(store.append('orders/all', many(1))).rejects.toThrow(code('BadPayload'))
    await store.append('orders/all', [of('1', 1)], { expectedVersion: 'stream-exists' })
    const again = await store.create('a/1', { metadata: { a: 1 }, events: many(2), commandId })
    expect(again.events).toEqual(other.events)
    expect(await all(store.load('a/1'))).toEqual(other.events)
    expect(await versions(store.load('orders/all'))).toEqual([1])
  })

  test('tried again with its command id gives the first outcome, also without an event', async () => {
    const folder = temporaryFolder()
    const node = await start(folder)
    const commandId = deriveId('empty')
    const first = await node.store.create('a/1', { commandId })
    expect(await node.store.create('a/1', { commandId })).toMatchObject({ version: 0, position: first.position })
    await node.close()
    const { store } = await start(folder)
    const again = await store.create('a/1', { commandId })
    expect([again.version, again.position, again.events]).toEqual([0, first.position, []])
    await expect(store.create('a/1')).rejects.toThrow(code('ConcurrencyError'))
  })
})

describe('an aggregate', () => {
  test('takes events through its mailbox and its definition, and is read like any stream', async () => {
    const { store, ref } = await start().then((node) => ({ store: node.store, ref: node.ref(Counter, 'c') }))
    await ref.ask('add', { by: 1 })
    const appended = store.append('counter/c', [{ type: 'Added', data: { by: 2 } }], { expectedVersion: 1 })
    const asked = ref.ask('add', { by: 4 })
    expect([(await appended).version, (await asked).version]).toEqual([2, 3])
    expect(await ref.query('sum')).toBe(7)
    expect((await all(store.load('counter/c'))).map(({ data }) => data)).toEqual([{ by: 1 }, { by: 2 }, { by: 4 }])
    expect(await store.info('counter/c')).toEqual({ persistence: 'aggregate', version: 3, metadata: {} })
    expect(await ref.state({ atVersion: 2 })).toEqual({ sum: 3 })
  })

  test('refuses what it has no event for, what its evolve function throws on, and to be created', async () => {
    const { store, ref } = await start().then((node) => ({ store: node.store, ref: node.ref(Counter, 'c') }))
    const append = (...events: object[]) => store.append('counter/c', events as [])
    await expect(append({ type: 'Added', data: { by: 1 } }, { type: 'Other' })).rejects.toThrow(code('BadPayload'))
    await expect(append({ type: 'Increased', data: { by: 1 } })).rejects.toThrow(code('BadPayload'))
    await expect(append({ type: 'Added', data: { by: 1 } }, { type: 'Added', data: { by: 13 } })).rejects.toThrow(
      code('HandlerFailed'),
    )
    await expect(append({ ...of('1', 1), type: 'Added', data: { by: 1 } })).rejects.toThrow(code('BadPayload'))
    await expect(store.create('counter/d')).rejects.toThrow(code('BadPayload'))
    await expect(
      store.append('counter/c', [{ type: 'Added', data: { by: 1 } }], { expectedVersion: 1 }),
    ).rejects.toThrow(code('ConcurrencyError'))
    expect(await ref.query('sum')).toBe(0)
    expect(await store.info('counter/c')).toBeUndefined()
  })

  test('may come later than its stream, snapshots and all', async () => {
    const folder = temporaryFolder()
    const before = await start(folder, [])
    const old = Array.from({ length: 450 }, () => ({ type: 'Increased', data: { amount: 2 } }))
    await before.store.append('counter/c', old)
    await before.close()
    const node = await start(folder)
    expect(await node.ref(Counter, 'c').query('sum')).toBe(900)
    const [first] = await all(node.store.load('counter/c', { limit: 1, filter: { types: ['Added'] } }))
    expect(first).toMatchObject({ type: 'Added', data: { by: 2 } })
    await node.ref(Counter, 'c').ask('add', { by: 1 })
    await node.close()
    // And may go again.
    const after = await start(folder, [])
    expect((await after.store.append('counter/c', many(1))).version).toBe(452)
  })
})

describe('load', () => {
  const LENGTH = 5_000
  async function long(): Promise<Node> {
    const node = await start()
    for (let from = 1; from <= LENGTH; from += 500) {
      await node.store.append('a/1', many(500, from), { metadata: { hundreds: Math.floor(from / 100) } })
      await node.store.append('other/1', many(1))
    }
    return node
  }

  test('reads ranges both ways, up to a limit, in order and without a gap', async () => {
    const { store } = await long()
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
    const read = (options = {}) => versions(store.load('a/1', options))
    expect(await read()).toEqual(range(1, LENGTH))
    expect(await read({ backwards: true })).toEqual(range(1, LENGTH).toReversed())
    expect(await read({ from: 999, to: 3_001 })).toEqual(range(999, 3_001))
    expect(await read({ from: 999, to: 3_001, backwards: true })).toEqual(range(999, 3_001).toReversed())
    expect(await read({ from: 2_000, limit: 1_500 })).toEqual(range(2_000, 3_499))
    expect(await read({ to: 2_000, limit: 1_500, backwards: true })).toEqual(range(501, 2_000).toReversed())
    expect(await read({ from: 4_999, to: 9_999 })).toEqual([4_999, 5_000])
    expect(await read({ from: 5_001 })).toEqual([])
    expect(await read({ limit: 0 })).toEqual([])
    expect(await versions(store.load('a/none'))).toEqual([])
    const data = (await all(store.load<{ type: 'Ticked'; data: { n: number } }>('a/1'))).map((event) => event.data.n)
    expect(data).toEqual(range(1, LENGTH))
  })

  test('filters by type and by metadata', async () => {
    const { store } = await long()
    await store.append('a/1', [{ type: 'Tocked', metadata: { note: 'b', n: 3, big: 2n ** 60n, no: false } }])
    const read = (filter: object, more = {}) => versions(store.load('a/1', { filter, ...more }))
    expect(await read({ types: ['Tocked', 'None'] })).toEqual([5_001])
    expect(await read({ types: ['Tocked'] }, { backwards: true, limit: 1 })).toEqual([5_001])
    expect(await read({ types: [] })).toEqual([])
    const meets = async (condition: object) => (await read({ metadata: condition, types: ['Tocked'] })).length === 1
    expect(await meets({ note: { equals: 'b' }, n: { equals: 3 } })).toBe(true)
    expect(await meets({ note: { equals: 'b' }, n: { equals: 4 } })).toBe(false)
    expect(await meets({ big: { equals: 2n ** 60n }, no: { equals: false } })).toBe(true)
    expect(await meets({ note: { in: ['a', 'b'] } })).toBe(true)
    expect(await meets({ note: { in: [] } })).toBe(false)
    expect(await meets({ note: { exists: true }, none: { exists: false } })).toBe(true)
    expect(await meets({ toString: { exists: true } })).toBe(false)
    expect(await meets({ note: { range: { from: 'b', to: 'b' } }, n: { range: { to: 3 } } })).toBe(true)
    expect(await meets({ note: { range: { from: 'c' } } })).toBe(false)
    expect(await meets({ note: { range: { from: 1 } } })).toBe(false)
    expect(await meets({ correlationId: { exists: true } })).toBe(true)
    const hundreds = await read({ metadata: { hundreds: { range: { from: 10, to: 20 } } } }, { limit: 600 })
    expect([hundreds.length, hundreds[0], hundreds.at(-1)]).toEqual([600, 1_001, 1_600])
    const [{ metadata: { commandId } } = { metadata: { commandId: '' } }] = await all(
      store.load('a/1', { from: 5_001 }),
    )
    expect(await read({ metadata: { commandId: { equals: commandId } } })).toEqual([5_001])
  })

  test('hands out records undecoded', async () => {
    const { store } = await start()
    await store.append('a/1', [{ type: 'A', data: { a: 1 }, metadata: { b: 2 } }, { type: 'B' }])
    const [first, second] = await all(store.load('a/1', { raw: true }))
    expect([decode(first!.data), decode(first!.metadata)]).toEqual([{ a: 1 }, { b: 2 }])
    expect([first!.type, first!.version, first!.typeVersion, second!.data.length]).toEqual(['A', 1, 1, 0])
  })

  test('asks for no more than is read, and ends where it began to', async () => {
    const node = await long()
    const events = node.store.load('a/1')
    expect((await events.next()).value).toMatchObject({ version: 1 })
    await node.store.append('a/1', many(10))
    expect(await node.status()).toMatchObject({ underWay: 0 })
    expect((await versions(events)).at(-1)).toBe(LENGTH)
  })
})
