import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { deriveId, type CorrelatedCommand, type CorrelationOptions, type ReadEvent } from '../../src/index.ts'
import { beginningOf } from '../../src/node/correlation.ts'
import { Counter, start } from './reading-node.ts'
import { inTime } from '../in-time.ts'

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
    const whole = await store.correlation(commandId)
    expect([whole.size, whole.commands.map(shapeOf)]).toEqual([6, [expected(true)]])
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
    expect(await store.correlation(commandId)).toMatchObject({ size: 1, after: undefined })
    const after = { time: new Date('2059-01-01') }
    expect(await store.correlation(commandId, { after })).toMatchObject({ size: 0, after })
  })

  test('is whole where a clock was so far ahead that some of it lies behind what the id says, and some before', async () => {
    const { store } = await start()
    const { id: commandId, passToIt } = idOfClockAhead()
    const [placed] = (await store.append('order/1', [{ type: 'Placed' }], { commandId })).events
    passToIt()
    const because = { correlationId: commandId, causationId: placed!.id }
    await store.append('parcel/1', [{ type: 'Shipped' }], { metadata: because })
    expect(await store.correlation(commandId)).toMatchObject({ size: 2, after: undefined })
    // The event's id is of the node's own clock.
    const after = { time: expect.any(Date) as Date }
    expect(await store.correlation(placed!.id)).toMatchObject({ size: 2, after })
  })

  test('of a correlation id that is no command’s and no event’s is looked for in all of the log', async () => {
    const { store } = await start()
    const { id: correlationId, passToIt } = idOfClockAhead()
    await store.append('a/1', [{ type: 'A' }], { metadata: { correlationId } })
    passToIt()
    await store.append('b/1', [{ type: 'B' }], { metadata: { correlationId } })
    expect(await store.correlation(correlationId)).toMatchObject({ size: 2, after: undefined })
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
      { numRuns: 40, ...inTime() },
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

/** It says that it begins, an hour before it was made, in half a second, to which this machine's clock is set when told to. */
function idOfClockAhead(): { readonly id: string; readonly passToIt: () => void } {
  vi.useFakeTimers({ toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const begins = Date.now() + 500
  const hex = (begins + 3_600_000).toString(16).padStart(12, '0')
  const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
  return { id, passToIt: () => void vi.setSystemTime(begins + 1) }
}

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
