import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  deriveId,
  startNode,
  type Aggregate,
  type CorrelatedCommand,
  type CorrelationOptions,
  type EventFilter,
  type Node,
  type ReadAllOptions,
  type ReadEvent,
} from '../../src/index.ts'
import { beginningOf } from '../../src/node/correlation.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'

const Counter = defineAggregate({
  type: 'counter',
  initialState: () => 0,
  events: { Added: (sum, { by }: { by: number }) => sum + by, Reset: () => 0 },
  commands: {
    add: (_sum, { by }: { by: number }, { emit }) => emit.Added({ by }),
    reset: (_sum, _none, { emit }) => emit.Reset(undefined),
  },
  renamedEvents: { Increased: 'Added' },
})

async function start(folder = temporaryFolder(), aggregates: readonly Aggregate[] = [Account, Counter]): Promise<Node> {
  const options = {
    name: 'reading',
    aggregates,
    dataDir: folder,
    workers: 'inline',
    shards: 4,
  } as const
  const node = await startNode(defineCluster({ ...options, segmentBytes: 64 * 1024, onWarning: () => undefined }))
  onTestFinished(() => node.close())
  return node
}

const all = <Event>(events: AsyncIterable<Event>): Promise<Event[]> => Array.fromAsync(events)
const ids = async (events: AsyncIterable<{ readonly id: string }>): Promise<string[]> =>
  (await all(events)).map(({ id }) => id)

/** Events of several categories, types and metadata, in more than one life of the node and more than one segment. */
async function written(): Promise<{ readonly node: Node; readonly events: readonly ReadEvent[] }> {
  const folder = temporaryFolder()
  const padding = 'x'.repeat(2_000)
  for (let life = 0; life < 2; life += 1) {
    const node = await start(folder)
    for (let i = 0; i < 60; i += 1) {
      const metadata = { tenant: `t${i % 3}`, size: i }
      await node.ref(Account, `a${i % 7}`).ask('deposit', { amount: i + 1 }, { metadata })
      await node.store.append(`log/${i % 5}`, [{ type: i === 7 ? 'Rare' : 'Noted', data: padding, metadata }])
      if (i % 10 === 0) await node.ref(Counter, 'c').ask('add', { by: i })
    }
    await node.close()
  }
  const node = await start(folder)
  return { node, events: await all(node.store.readAll()) }
}

describe('readAll', () => {
  test('gives what a filter in memory gives, of any range', async () => {
    const { node, events } = await written()
    expect(events).toHaveLength(252)
    const at = fc.nat(events.length - 1).map((i) => events[i]!)
    const place = fc.oneof(
      at.map(({ place: text }) => text),
      at.map(({ position }) => ({ position })),
      at.map(({ time }) => ({ time })),
    )
    const until = fc.oneof(
      place,
      at.map(({ id }) => ({ eventId: id })),
    )
    const options = fc.record(
      {
        after: place,
        until,
        categories: fc.subarray(['account', 'log', 'other']),
        aggregates: fc.subarray([Account, Counter]),
        filter: fc.record(
          {
            types: fc.subarray(['MoneyDeposited', 'Rare', 'Noted', 'Added']),
            metadata: fc.constantFrom<NonNullable<EventFilter['metadata']>>(
              { tenant: { equals: 't1' } },
              { tenant: { in: ['t0', 't2'] } },
              { tenant: { exists: false } },
              { size: { range: { from: 10, to: 20 } } },
            ),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(options, async (given) => {
        const expected = oracle(events, given)
        const read = all(node.store.readAll(given))
        if (expected === 'no such event') await expect(read).rejects.toMatchObject({ code: 'NoSuchEvent' })
        else expect(await read).toEqual(expected)
      }),
      { numRuns: 400 },
    )
  })

  test('knows events by the definitions they are of', async () => {
    const node = await start()
    await node.store.append('log/1', [{ type: 'Added' }])
    await node.ref(Counter, 'c').ask('add', { by: 2 })
    await node.ref(Counter, 'c').ask('reset')
    await node.ref(Account, 'a').ask('deposit', { amount: 5 })
    const sums: (number | string)[] = []
    for await (const event of node.store.readAll({ aggregates: [Counter, Account] })) {
      // Their data is inferred from the definitions.
      if (event.type === 'Added') sums.push(event.data.by)
      else if (event.type === 'MoneyDeposited') sums.push(event.data.amount)
      else sums.push(event.type)
    }
    expect(sums).toEqual([2, 'Reset', 5])
    const types = { filter: { types: ['Added'] } }
    expect(await all(node.store.readAll(types))).toHaveLength(2)
    expect(await all(node.store.readAll({ ...types, aggregates: [Counter] }))).toHaveLength(1)
    expect(await all(node.store.readAll({ aggregates: [] }))).toEqual([])
  })

  test('knows former names, of the aggregate that had them', async () => {
    const folder = temporaryFolder()
    const before = await start(folder, [Account])
    await before.store.append('counter/c', [{ type: 'Increased', data: { by: 3 } }])
    await before.store.append('log/1', [{ type: 'Increased' }])
    await before.close()
    const { store } = await start(folder)
    const read = await all(store.readAll({ filter: { types: ['Added'] } }))
    expect(read.map(({ stream, type, data }) => [stream, type, data])).toEqual([['counter/c', 'Added', { by: 3 }]])
    const raw = await all(store.readAll({ filter: { types: ['Increased'] }, raw: true }))
    expect(raw.map(({ stream, type }) => [stream, type])).toEqual([
      ['counter/c', 'Increased'],
      ['log/1', 'Increased'],
    ])
  })

  test('refuses what it cannot read', async () => {
    const { store } = await start()
    const bad = (options: object, code = 'BadPayload'): void =>
      expect(() => store.readAll(options)).toThrow(expect.objectContaining({ code }) as Error)
    bad({ after: 'here' }, 'BadPlace')
    bad({ after: { position: -1 } })
    bad({ after: { time: new Date(Number.NaN) } })
    bad({ after: { position: 1, time: new Date() } })
    bad({ until: { eventId: 'x' } })
    bad({ until: null })
    bad({ until: { event: deriveId('x') } })
    bad({ categories: 'account' })
    bad({ aggregates: Account })
    bad({ aggregates: [{ ...Account, type: 'other' }] }, 'BadDefinition')
    expect(() => store.subscribe({ until: { position: 1 } } as object)).toThrow("no option 'until'")
    await expect(all(store.readAll({ until: { eventId: deriveId('x') } }))).rejects.toMatchObject({
      code: 'NoSuchEvent',
    })
    const later = new Date(Date.now() + 3_600_000)
    expect(await all(store.readAll({ after: { time: later } })), 'a time need not have come').toEqual([])
    await expect(all(store.readAll({ after: { position: 2 ** 50 } }))).rejects.toMatchObject({ code: 'PlaceAhead' })
  })
})

function oracle(events: readonly ReadEvent[], options: ReadAllOptions): readonly ReadEvent[] | 'no such event' {
  const { after, until, categories, aggregates, filter } = options
  let from = 0
  let to = events.length
  const indexOf = (isBehind: (event: ReadEvent) => boolean): number => {
    const found = events.findIndex(isBehind)
    return found === -1 ? events.length : found
  }
  const behind = (place: NonNullable<ReadAllOptions['after']>): number => {
    if (typeof place === 'string') return events.findIndex((event) => event.place === place) + 1
    if ('position' in place) return indexOf(({ position }) => position > place.position)
    // On one machine, whose clock does not go back, positions are given in the order of time.
    return indexOf(({ time }) => time > place.time)
  }
  if (after !== undefined) from = behind(after)
  if (typeof until === 'object' && 'eventId' in until) {
    to = events.findIndex(({ id }) => id === until.eventId) + 1
    if (to <= from) return 'no such event'
  } else if (until !== undefined) to = behind(until)
  const streams =
    categories === undefined && aggregates === undefined
      ? undefined
      : [...(categories ?? []), ...(aggregates ?? []).map(({ type }) => type)]
  return events.slice(from, Math.max(from, to)).filter((event) => {
    if (streams?.includes(event.stream.split('/')[0]!) === false) return false
    if (filter?.types?.includes(event.type) === false) return false
    return Object.entries(filter?.metadata ?? {}).every(([key, condition]) => {
      const value = event.metadata[key]
      if ('equals' in condition) return value === condition.equals
      if ('in' in condition) return condition.in.includes(value as string)
      if ('exists' in condition) return (value !== undefined) === condition.exists
      const { from: low, to: high } = condition.range as { readonly from: number; readonly to: number }
      return typeof value === 'number' && value >= low && value <= high
    })
  })
}

describe('load', () => {
  test('up to a moment gives what stood there then, and folded the state of then', async () => {
    const node = await start()
    const other = await node.store.append('log/1', [{ type: 'Noted' }])
    for (let i = 1; i <= 40; i += 1) {
      await node.ref(Counter, 'c').ask('add', { by: i })
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const ref = node.ref(Counter, 'c')
    const events = await all(node.store.load<{ type: 'Added'; data: { by: number } }>('counter/c'))
    const at = fc.nat(events.length - 1).map((i) => events[i]!)
    const until = fc.oneof(
      at.map(({ position }) => ({ position })),
      at.map(({ position }) => ({ position: position - 1 })),
      at.map(({ time }) => ({ time })),
      at.map(({ id }) => ({ eventId: id })),
    )
    const version = fc.integer({ min: 1, max: 50 })
    const more = fc.record(
      {
        ends: fc.tuple(version, version),
        limit: fc.nat(50),
        backwards: fc.boolean(),
        types: fc.constantFrom<readonly string[]>(['Added'], []),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(until, more, async (moment, { ends, limit, backwards, types }) => {
        const isIn = (event: (typeof events)[number]): boolean => {
          if ('position' in moment) return event.position <= moment.position
          if ('time' in moment) return event.time <= moment.time
          return event.version <= events.find(({ id }) => id === moment.eventId)!.version
        }
        const range = ends && { from: Math.min(...ends), to: Math.max(...ends) }
        const options = {
          ...range,
          ...(limit !== undefined && { limit }),
          ...(backwards !== undefined && { backwards }),
        }
        const filter = types && { filter: { types } }
        const read = await all(node.store.load('counter/c', { until: moment, ...options, ...filter }))
        const wanted = events.filter(
          (event) =>
            isIn(event) &&
            (range === undefined || (event.version >= range.from && event.version <= range.to)) &&
            types?.includes(event.type) !== false,
        )
        expect(read).toEqual((backwards === true ? wanted.toReversed() : wanted).slice(0, limit))
        if ('position' in moment) return
        const sum = events.filter(isIn).reduce((total, { data }) => total + data.by, 0)
        const then = 'time' in moment ? { atTime: moment.time } : { atEvent: moment.eventId }
        expect(await ref.state(then)).toBe(sum)
      }),
      { numRuns: 200 },
    )
    const load = (given: object) => all(node.store.load('counter/c', { until: given as { position: number } }))
    await expect(load({ eventId: other.events[0]!.id })).rejects.toMatchObject({ code: 'NoSuchEvent' })
    expect(await load({ position: other.position })).toEqual([])
    expect(await all(node.store.load('log/none', { until: { time: new Date() } }))).toEqual([])
    for (const bad of [
      { version: 1 },
      { time: 1 },
      { eventId: 'x' },
      { position: -1 },
      { position: 1, time: new Date() },
    ]) {
      expect(() => node.store.load('counter/c', { until: bad as { position: number } })).toThrow('until is none of')
    }
    expect(await all(node.store.load('counter/c', { from: 30, limit: Number.MAX_SAFE_INTEGER }))).toHaveLength(11)
  })
})

describe('a subscription to one stream', () => {
  test('gives what it has behind a version, and then what comes, each once and in order', async () => {
    const node = await start()
    const note = (n: number) => node.store.append('log/1', [{ type: n % 3 === 0 ? 'Third' : 'Noted', data: n }])
    for (let n = 1; n <= 20; n += 1) await note(n)
    const seen: unknown[] = []
    const thirds: unknown[] = []
    const raw: number[] = []
    const subscription = node.store.subscribe({ stream: 'log/1', after: 5 }, ({ data }) => seen.push(data))
    const filter = { types: ['Third'] }
    const filtered = node.store.subscribe({ stream: 'log/1', filter }, ({ version }) => thirds.push(version))
    const undecoded = node.store.subscribe({ stream: 'log/1', raw: true }, ({ version }) => raw.push(version))
    for (let n = 21; n <= 200; n += 1) {
      await Promise.all([note(n), node.store.append(`log/${(n % 3) + 2}`, [{ type: 'Noted' }])])
    }
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
    await expect.poll(() => [seen.length, thirds.length, raw.length]).toEqual([195, 66, 200])
    expect(seen).toEqual(range(6, 200))
    expect(thirds).toEqual(range(1, 66).map((n) => 3 * n))
    expect(raw).toEqual(range(1, 200))
    expect(subscription.after).toBe(200)
    for (const one of [subscription, filtered, undecoded]) {
      one.stop()
      await one.closed
    }
    await note(201)
    expect(seen).toHaveLength(195)
  })

  test('waits for a stream that is not there, and upcasts what is an aggregate’s', async () => {
    const node = await start()
    const stop = new AbortController()
    const reading = (async () => {
      const read: unknown[] = []
      for await (const { type, data } of node.store.subscribe({ stream: 'counter/c', signal: stop.signal })) {
        read.push([type, data])
        if (read.length === 2) stop.abort()
      }
      return read
    })()
    await node.ref(Counter, 'd').ask('add', { by: 1 })
    await node.ref(Counter, 'c').ask('add', { by: 2 })
    await node.ref(Counter, 'c').ask('reset')
    expect(await reading).toEqual([
      ['Added', { by: 2 }],
      ['Reset', undefined],
    ])
  })

  test('refuses what it cannot follow', async () => {
    const { store } = await start()
    const bad = (options: object, code = 'BadPayload'): void =>
      expect(() => store.subscribe(options as { stream: string })).toThrow(expect.objectContaining({ code }) as Error)
    bad({ stream: 'audit' }, 'BadAddress')
    bad({ stream: 7 }, 'BadAddress')
    bad({ stream: 'a/1', after: '7.0' })
    bad({ stream: 'a/1', after: -1 })
    bad({ stream: 'a/1', from: 1 })
    bad({ stream: 'a/1', filter: { type: [] } })
  })
})

describe('a subscription with a handler', () => {
  test('is called with one event at a time, and says where to go on', async () => {
    const node = await start()
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, i) => node.ref(Account, `a${i}`).ask('deposit', { amount: 1 })),
    )
    const everything = await ids(node.store.readAll())
    expect(everything).toHaveLength(replies.length)
    const seen: string[] = []
    let running = 0
    const take = async ({ id }: ReadEvent): Promise<void> => {
      running += 1
      expect(running).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(id)
      running -= 1
      if (seen.length % 20 === 0) subscription.stop()
    }
    let subscription = node.store.subscribe({ aggregates: [Account] }, take)
    expect(subscription.after).toBeUndefined()
    await subscription.closed
    expect(seen).toEqual(everything.slice(0, 20))
    subscription = node.store.subscribe({ after: subscription.after! }, take)
    await subscription.closed
    expect(seen).toEqual(everything.slice(0, 40))
  })

  test('ends with the error of its handler, and stands before the event that it threw on', async () => {
    const node = await start()
    for (let i = 0; i < 3; i += 1) await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    const [first, second] = await all(node.store.readAll())
    const seen: string[] = []
    const subscription = node.store.subscribe({}, ({ id }) => {
      seen.push(id)
      if (id === second!.id) throw new Error('no')
    })
    await expect(subscription.closed).rejects.toThrow('no')
    expect(subscription.after).toBe(first!.place)
    expect(seen).toEqual([first!.id, second!.id])
    await subscription[Symbol.asyncDispose]()
  })

  test('ends with its scope, its signal and its node', async () => {
    const node = await start()
    await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    const stop = new AbortController()
    const [scoped, signalled, left] = [[] as string[], [] as string[], [] as string[]]
    const byNode = [
      node.store.subscribe({}, ({ id }) => left.push(id)),
      node.store.subscribe({ stream: 'account/a' }, ({ id }) => left.push(id)),
    ]
    const bySignal = node.store.subscribe({ signal: stop.signal }, ({ id }) => signalled.push(id))
    {
      await using _ = node.store.subscribe({}, ({ id }) => scoped.push(id))
      await expect.poll(() => [scoped, signalled, left].flat().length).toBe(4)
    }
    stop.abort()
    await bySignal.closed
    await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    await expect.poll(() => left.length).toBe(4)
    expect([scoped.length, signalled.length]).toEqual([1, 1])
    await node.close()
    for (const { closed } of byNode) await closed
  })
})

describe('correlation', () => {
  test('is everything that a command has set in motion, as a tree', async () => {
    const { store, ref } = await start().then((node) => ({ store: node.store, ref: node.ref(Counter, 'c') }))
    const order = await store.append('order/1', [{ type: 'Placed' }, { type: 'Paid' }])
    const [placed, paid] = order.events
    const { commandId } = placed!.metadata
    const because = (causationId: string) => ({ metadata: { correlationId: commandId, causationId } })
    const shipped = await store.append('parcel/1', [{ type: 'Shipped' }], because(paid!.id))
    await store.append('log/1', [{ type: 'Noted' }])
    await ref.ask('add', { by: 1 }, because(placed!.id))
    // Whoever forgets the correlation id is found by what it was caused by.
    await store.append('parcel/1', [{ type: 'Lost' }], { metadata: { causationId: shipped.events[0]!.id } })
    await store.append('mail/1', [{ type: 'Sent' }], because(commandId))
    const expected = (within: boolean) => [
      'order/1',
      {
        Placed: [['counter/c', { Added: [] }]],
        Paid: [['parcel/1', { Shipped: within ? [['parcel/1', { Lost: [] }]] : [] }]],
      },
      ['mail/1', { Sent: [] }],
    ]
    const all = await store.correlation(commandId)
    expect([all.size, all.commands.map(shapeOf)]).toEqual([6, [expected(true)]])
    expect(await store.correlation(commandId.toUpperCase())).toMatchObject({ size: 6 })
    const ofEvent = await store.correlation(paid!.id)
    expect(ofEvent.commands.map(shapeOf)).toEqual([
      ['order/1', { Paid: [['parcel/1', { Shipped: [['parcel/1', { Lost: [] }]] }]] }],
    ])
    expect(await store.correlation(commandId, { limit: 6 })).toMatchObject({ size: 6 })
    const tooMuch = { code: 'TooLarge', details: { id: commandId, limit: 5 } }
    await expect(store.correlation(commandId, { limit: 5 })).rejects.toMatchObject(tooMuch)
    const until = { position: shipped.position }
    expect(await store.correlation(commandId, { until })).toMatchObject({ size: 3 })
    expect(await store.correlation(commandId, { after: { position: order.position } })).toMatchObject({ size: 4 })
    expect(await store.correlation(deriveId('nobody’s'))).toMatchObject({ size: 0, commands: [] })
  })

  test('tells commands apart by stream and cause, and begins where the id says when', async () => {
    const { store } = await start()
    const commandId = deriveId('both')
    const [cause] = (await store.append('a/1', [{ type: 'A' }], { commandId })).events
    await store.append('a/2', [{ type: 'A' }], { commandId })
    const metadata = { causationId: cause!.id }
    await store.append('b/1', [
      { type: 'Caused', metadata },
      { type: 'Other', metadata: { correlationId: commandId } },
    ])
    expect((await store.correlation(commandId)).commands.map(shapeOf)).toEqual([
      ['a/1', { A: [['b/1', { Caused: [] }]] }],
      ['a/2', { A: [] }],
      ['b/1', { Other: [] }],
    ])
    expect(beginningOf('0198a2f0-5c00-7000-8000-000000000000')).toEqual({ time: new Date(0x198a2f05c00 - 3_600_000) })
    expect([commandId, 'request 7'].map(beginningOf)).toEqual([undefined, undefined])
  })

  test('takes any correlation id, and an id of a clock that is far ahead', async () => {
    const { store } = await start()
    await store.append('a/1', [{ type: 'A' }], { metadata: { correlationId: 'request 7' } })
    await store.append('b/1', [{ type: 'B' }], { metadata: { correlationId: 'request 7' } })
    expect((await store.correlation('request 7')).commands.map(shapeOf)).toEqual([
      ['a/1', { A: [] }],
      ['b/1', { B: [] }],
    ])
    // Of the year 2060.
    const commandId = '02971d87-d800-7000-8000-000000000000'
    await store.append('a/2', [{ type: 'A' }], { commandId })
    expect(await store.correlation(commandId)).toMatchObject({ size: 1 })
    expect(await store.correlation(commandId, { after: { time: new Date('2059-01-01') } })).toMatchObject({ size: 0 })
  })

  test('is found for any causes, as a search through all that was written finds it', async () => {
    const { store } = await start()
    const cause = fc.record({ of: fc.nat(), by: fc.constantFrom('event', 'command', 'none'), isTold: fc.boolean() })
    const shape = fc.array(fc.record({ events: fc.integer({ min: 1, max: 3 }), cause }), {
      minLength: 1,
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(shape, fc.nat(), async (steps, chosen) => {
        const written: ReadEvent[] = []
        for (const [
          i,
          {
            events,
            cause: { of, by, isTold },
          },
        ] of steps.entries()) {
          const caused = written[of % Math.max(1, written.length)]
          const metadata = caused !== undefined &&
            by !== 'none' && {
              causationId: by === 'event' ? caused.id : caused.metadata.commandId,
              ...(isTold && { correlationId: caused.metadata.correlationId }),
            }
          const many = Array.from({ length: events }, () => ({ type: 'Happened' }))
          const appended = await store.append(`s/${i % 5}`, many, metadata === false ? {} : { metadata })
          written.push(...(appended.events as ReadEvent[]))
        }
        const { id, metadata } = written[chosen % written.length]!
        for (const asked of [id, metadata.commandId, metadata.correlationId]) {
          const { size, commands } = await store.correlation(asked)
          const found = commands.flatMap(idsIn)
          expect(found).toHaveLength(size)
          expect(found.toSorted()).toEqual([...reached(written, asked)].toSorted())
        }
      }),
      { numRuns: 40 },
    )
  })

  test('refuses what is no id, and what it does not know', async () => {
    const { store } = await start()
    const bad = (id: unknown, options: object = {}) =>
      expect(store.correlation(id as string, options as CorrelationOptions)).rejects.toMatchObject({
        code: 'BadPayload',
      })
    await bad('')
    await bad(7)
    await bad('a', { limit: 1.5 })
    await bad('a', { limits: 1 })
    await expect(store.correlation('a', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'Aborted' })
  })
})

/** A command as its stream, its events with what they have caused, and what it has caused itself. */
function shapeOf({ stream, events, commands }: CorrelatedCommand): readonly unknown[] {
  return [
    stream,
    Object.fromEntries(events.map((event) => [event.type, event.commands.map(shapeOf)])),
    ...commands.map(shapeOf),
  ]
}

function idsIn({ events, commands }: CorrelatedCommand): readonly string[] {
  return [...events.flatMap((event) => [event.id, ...event.commands.flatMap(idsIn)]), ...commands.flatMap(idsIn)]
}

/** All events that can be come to from an id, whatever the order. */
function reached(events: readonly ReadEvent[], asked: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { id, metadata } of events)
    if (metadata.correlationId === asked || metadata.commandId === asked) found.add(id)
  if (events.some(({ id }) => id === asked)) found.add(asked)
  for (let size = -1; size < found.size;) {
    size = found.size
    const members = events.filter(({ id }) => found.has(id))
    const causes = new Set(members.map(({ id }) => id))
    for (const { id, metadata } of members) if (id !== asked) causes.add(metadata.commandId)
    for (const { id, metadata } of events)
      if (causes.has(metadata.causationId) || causes.has(metadata.commandId)) found.add(id)
  }
  return found
}
