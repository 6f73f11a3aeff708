import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyEventOf } from '../../src/index.ts'
import { all, Counter, start } from './reading-node.ts'
import { inTime } from '../in-time.ts'

describe('load', () => {
  test('up to a moment gives what stood there then, and folded the state of then', async () => {
    const node = await start()
    const other = await node.store.append('log/1', [{ type: 'Noted' }])
    for (let i = 1; i <= 40; i += 1) {
      if (i % 7 === 0) await node.ref(Counter, 'c').ask('reset')
      else await node.ref(Counter, 'c').ask('add', { by: i })
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const ref = node.ref(Counter, 'c')
    const events = await all(node.store.load<AnyEventOf<typeof Counter>>('counter/c'))
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
        types: fc.constantFrom<readonly string[]>(['Added'], ['Reset'], []),
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
        const sum = events
          .filter(isIn)
          .reduce((total, event) => (event.type === 'Reset' ? 0 : total + event.data.by), 0)
        const then = 'time' in moment ? { atTime: moment.time } : { atEvent: moment.eventId }
        expect(await ref.state(then)).toBe(sum)
      }),
      { numRuns: 200, ...inTime() },
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
