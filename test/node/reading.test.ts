import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deriveId, type EventFilter, type Node, type ReadAllOptions, type ReadEvent } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { all, Counter, start } from './reading-node.ts'
import { inTime } from '../in-time.ts'

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
      { numRuns: 400, ...inTime() },
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
    bad({ after: null }, 'BadPlace')
    bad({ after: { position: -1 } }, 'BadPlace')
    bad({ after: { time: new Date(Number.NaN) } }, 'BadPlace')
    bad({ after: { position: 1, time: new Date() } }, 'BadPlace')
    bad({ until: { eventId: 'x' } })
    bad({ until: null }, 'BadPlace')
    bad({ until: { event: deriveId('x') } }, 'BadPlace')
    bad({ categories: 'account' })
    bad({ aggregates: Account })
    bad({ aggregates: [{ ...Account, type: 'other' }] }, 'BadDefinition')
    const handler = (): void => undefined
    for (const none of ['account/1', null, 1]) {
      expect(() => store.readAll(none as never), String(none)).toThrow('its options are no object')
      expect(() => store.subscribe(none as never), String(none)).toThrow('its options are no object')
      expect(() => store.subscribe(none as never, handler), String(none)).toThrow('its options are no object')
    }
    expect(() => store.subscribe({ signal: 1 } as never, handler)).toThrow('its signal is no AbortSignal')
    expect(() => store.subscribe({ stream: 'account/1', signal: 1 } as never, handler)).toThrow(
      'its signal is no AbortSignal',
    )
    expect(() => store.subscribe({}, 'account/1' as never)).toThrow("what is called with each event is 'account/1'")
    expect(() => store.subscribe({ until: { position: 1 } } as object)).toThrow("no option 'until'")
    await expect(all(store.readAll({ until: { eventId: deriveId('x') } }))).rejects.toMatchObject({
      code: 'NoSuchEvent',
    })
    const later = new Date(Date.now() + 3_600_000)
    expect(await all(store.readAll({ after: { time: later } })), 'a time need not have come').toEqual([])
    await expect(all(store.readAll({ after: { position: 2 ** 50 } }))).rejects.toMatchObject({ code: 'PlaceAhead' })
  })
})

test('an event is no place, and neither is a reply: their types say so, and the error does', async () => {
  const node = await start()
  const reply = await node.ref(Account, 'a').ask('deposit', { amount: 5 })
  const [event] = await all(node.store.readAll())
  const refused = (message: string): object => expect.objectContaining({ code: 'BadPlace', message }) as object
  // @ts-expect-error -- its place is one
  const behindEvent = () => node.store.readAll({ after: event! })
  expect(behindEvent).toThrow(
    refused(
      expect.stringMatching(
        /^after is an object with .*position.*, which is neither .*\. Give the 'place' of an/,
      ) as string,
    ),
  )
  // @ts-expect-error -- { position } of it is one
  const behindReply = () => node.store.subscribe({ after: reply }, () => undefined)
  expect(behindReply).toThrow(refused(expect.stringContaining('after is an object with version, ') as string))
  expect(() => node.store.readAll({ categories: 'account' } as object)).toThrow(/Nothing happened\.$/)
  expect(await all(node.store.readAll({ after: event!.place }))).toEqual([])
  expect(await all(node.store.readAll({ after: { position: reply.position } }))).toEqual([])
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
    if (place.position !== undefined) return indexOf(({ position }) => position > place.position)
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
