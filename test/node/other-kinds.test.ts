/** A name that is of another kind than was asked for. */
import { expect, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineOutbox,
  defineProcess,
  defineProjection,
  defineReactor,
  defineSchedule,
  memoryStore,
} from '../../src/index.ts'
import { otherKinds, otherThanProjection } from '../../src/node/other-kinds.ts'

const Shop = defineAggregate({
  type: 'shop',
  initialState: () => ({}),
  events: { Opened: (state) => state },
  commands: { open: () => ({ type: 'Opened', data: {} }) as const },
})
const [from, startAt, Opened] = [[Shop], 'now', (): undefined => undefined] as const
const config = defineCluster({
  name: 'shops',
  aggregates: [Shop],
  dataDir: 'data',
  projections: [
    defineProjection({ name: 'sums', from, on: { Opened }, store: memoryStore(() => ({ sums: new Map() })) }),
  ],
  reactors: [defineReactor({ name: 'mails', from, startAt, on: { Opened } })],
  outboxes: [defineOutbox({ name: 'news', from, startAt, map: { Opened }, publisher: async () => undefined })],
  processes: [
    defineProcess({
      type: 'visit',
      from,
      startAt,
      correlate: { Opened: () => 'x' },
      initialState: () => 0,
      on: { Opened },
    }),
  ],
  schedules: [
    defineSchedule({
      name: 'nightly',
      aggregate: Shop,
      id: 'x',
      cron: '@daily',
      missed: 'skip',
      command: 'open',
      payload: () => undefined,
    }),
  ],
})

test.each([
  ['mails', 'is a reactor'],
  ['news', 'is an outbox'],
  ['visit', 'is a process'],
  ['nightly', 'is a schedule'],
])('who asks for the projection %s is told that it %s', (name, what) => {
  expect(otherThanProjection(config, name)).toContain(what)
})

test('of a projection, and of what is not there, nothing else is said', () => {
  expect(otherThanProjection(config, 'sums')).toBe(undefined)
  expect(otherThanProjection(config, 'summs')).toBe(undefined)
})

test('who asks for a consumer is told of what is none', () => {
  const told = otherKinds(config)
  expect([...told.keys()].toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['nightly', 'sums', 'visit'])
  expect(told.get('nightly')).toContain("'$timer-commands'")
  expect(told.get('visit')).toContain("'visit.told'")
})
