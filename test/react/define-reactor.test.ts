import { expect, expectTypeOf, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor } from '../../src/index.ts'
import { reactorConsumer } from '../../src/react/reactor-consumer.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { Account } from '../account.ts'

const Other = defineAggregate({
  type: 'other',
  initialState: () => 0,
  events: { Named: (_state, _data: { name: string }) => 1, Reset: () => 0 },
  commands: {
    name: (_state, data: { name: string }, { emit }) => emit.Named(data),
    reset: (_state, _none, { emit }) => emit.Reset(),
  },
})

const well = { name: 'mails', from: [Account], startAt: 'now', on: { MoneyDeposited: () => undefined } } as const

test('a reactor has its settings, or their defaults', () => {
  const { mode, onFailure, retries, concurrency, handlerTimeoutMs, startAt } = defineReactor(well)
  expect({ mode, onFailure, retries, concurrency, handlerTimeoutMs, startAt }).toEqual({
    mode: 'asynchronous',
    onFailure: 'park',
    retries: 5,
    concurrency: 16,
    handlerTimeoutMs: 30_000,
    startAt: 'now',
  })
})

test('events and payloads have the types of their aggregates', () => {
  defineReactor({
    ...well,
    from: [Account, Other],
    on: {
      MoneyDeposited: async ({ data, type }, { ask, tell }) => {
        expectTypeOf(data).toEqualTypeOf<{ amount: number }>()
        expectTypeOf(type).toEqualTypeOf<'MoneyDeposited'>()
        const { position } = await ask(Other, '1', 'name', { name: 'x' }, { key: 'k' })
        expectTypeOf(position).toBeNumber()
        tell(Other, '1', 'reset')
        // @ts-expect-error -- it takes a name
        tell(Other, '1', 'name', { nome: 'x' })
        // @ts-expect-error -- there is no such command
        await ask(Other, '1', 'rename', { name: 'x' })
      },
      Named: ({ data }) => expectTypeOf(data).toEqualTypeOf<{ name: string }>(),
    },
  })
  // @ts-expect-error -- startAt cannot be forgotten
  expect(() => defineReactor({ name: 'mails', from: [Account], on: well.on })).toThrow("it needs 'startAt'")
})

test.for([
  ['no object', undefined, 'is an object, not undefined'],
  ['a name of nothing', { name: '' }, "a reactor's name is ''"],
  ['a name that is a stream', { name: 'a/b' }, "a reactor's name is 'a/b'"],
  ['a setting that is misspelt', { retires: 1 }, "reactor 'mails': it has no 'retires'; the nearest is 'retries'"],
  ['a mode that is none', { mode: 'sync' }, "mode is 'sync'"],
  ['no source', { from: [] }, 'from names no aggregate'],
  ['a source that is none', { from: [{}] }, 'give what defineAggregate returned'],
  ['an event that is none', { on: { MoneyDepositd: () => 1 } }, "the nearest is 'MoneyDeposited'"],
  ['a handler that is none', { on: { MoneyDeposited: 1 } }, 'give a function'],
  ['no handlers', { on: {} }, 'nothing would ever come of it'],
  ['a start that is none', { startAt: 'then' }, "startAt is 'then'; give 'now', 'beginning' or a position"],
  ['a start before all', { startAt: -1 }, 'startAt is -1'],
  ['another end', { onFailure: 'skip' }, "give 'park' or 'halt'"],
  ['too many at once', { concurrency: 0 }, 'concurrency is 0; give a whole number from 1 to 1000'],
  ['no time', { handlerTimeoutMs: 0 }, 'handlerTimeoutMs is 0'],
  ['half a retry', { retries: 0.5 }, 'retries is 0.5'],
] as const)('%s is refused, with what to do', ([, wrong, told]) => {
  const definition = wrong === undefined ? undefined : { ...well, ...wrong }
  expect(() => defineReactor(definition as never)).toThrow(told)
})

test('a config has reactors of names of their own, and no strangers', () => {
  const cluster = { name: 'bank', aggregates: [Account], dataDir: 'none' }
  const reactor = defineReactor(well)
  expect(() => defineCluster({ ...cluster, reactors: [reactor, reactor] })).toThrow("two reactors of the name 'mails'")
  expect(() => defineCluster({ ...cluster, reactors: [{ ...reactor }] })).toThrow('give what defineReactor returned')
})

test('it wants the events of its source, and of nobody else; of all, but internal ones', () => {
  const event = (stream: string, type = 'MoneyDeposited'): FeedEvent => ({ stream, type }) as FeedEvent
  const own = reactorConsumer(defineReactor(well), () => undefined)
  expect(own.isWanted(event('account/1'))).toBe(true)
  expect(own.isWanted(event('other/1'))).toBe(false)
  expect(own.isWanted(event('account/1', 'toString'))).toBe(false)
  const every = reactorConsumer(defineReactor({ ...well, from: 'all' }), () => undefined)
  expect(every.isWanted(event('other/1'))).toBe(true)
  expect(every.isWanted(event('$timer/1'))).toBe(false)
})
