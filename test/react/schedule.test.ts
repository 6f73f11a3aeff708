import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineSchedule } from '../../src/index.ts'

const Report = defineAggregate({
  type: 'report',
  initialState: () => 0,
  events: { Made: (count, _data: { readonly day: string }) => count + 1 },
  commands: {
    make: (_state, { day }: { readonly day: string }, { emit }) => emit.Made({ day }),
    nothing: () => undefined,
  },
})
const good = {
  name: 'nightly',
  cron: '0 3 * * *',
  missed: 'once',
  aggregate: Report,
  id: 'daily',
  command: 'make',
  payload: { day: 'x' },
} as const

test.each([
  [{ ...good, cron: 'at night' }, "cron is 'at night'; give five fields"],
  [{ ...good, cron: '0 0 3 1 1 * 2020' }, "cron is '0 0 3 1 1 * 2020'; give five fields"],
  [{ ...good, cron: '0 25 * * *' }, "cron '0 25 * * *' is not understood"],
  [{ ...good, cron: '0 0 31 2 *' }, 'never comes'],
  [{ ...good, timezone: 'Mars/Base' }, "the zone database has no timezone 'Mars/Base'"],
  [{ ...good, missed: 'twice' }, "missed is 'twice'; give 'skip', 'once' or 'all'"],
  [{ ...good, command: 'mak' }, "report has no such command; the nearest is 'make'"],
  [{ ...good, aggregate: {} }, 'give what defineAggregate returned'],
  [{ ...good, id: '' }, "an aggregate's id is empty"],
  [{ ...good, payload: () => 1, when: 1 }, "it has no 'when'"],
  [{ ...good, payload: { day: Symbol('x') } }, 'what cannot be sent: payload.day'],
])('a definition that cannot work is refused in words', (definition, words) => {
  expect(() => defineSchedule(definition as unknown as typeof good)).toThrow(words)
})

test('the payload is typed by the command', () => {
  // @ts-expect-error -- it needs a payload
  expect(() => defineSchedule({ ...good, payload: undefined })).not.toThrow()
  // @ts-expect-error -- it is another
  expect(() => defineSchedule({ ...good, payload: { day: 1 } })).not.toThrow()
  defineSchedule({ ...good, payload: ({ time }) => ({ day: time.toISOString() }) })
  defineSchedule({ name: 'idle', cron: '@daily', missed: 'skip', aggregate: Report, id: 'x', command: 'nothing' })
})

test('a cluster takes schedules of its aggregates, each of its own name', () => {
  const nightly = defineSchedule(good)
  const cluster = { name: 'reports', aggregates: [Report], dataDir: 'data' }
  expect(() => defineCluster({ ...cluster, schedules: [nightly, nightly] })).toThrow(
    "two schedules of the name 'nightly'",
  )
  expect(() => defineCluster({ ...cluster, schedules: [{ ...nightly }] })).toThrow('give what defineSchedule returned')
  expect(() => defineCluster({ ...cluster, aggregates: [], schedules: [nightly] })).toThrow(
    "the schedule 'nightly' names the aggregate 'report', which is none of the cluster's; add it to aggregates",
  )
})

test('a payload that cannot be made says of which schedule it is', () => {
  const made = (payload: () => unknown) => {
    const { commandAt } = defineSchedule({ ...good, payload: payload as () => { day: string } })
    return () => commandAt({ time: new Date(0) })
  }
  const boom = (): never => {
    throw new Error('boom')
  }
  expect(made(boom)).toThrow("the payload of the schedule 'nightly' could not be made: Error: boom")
  expect(made(() => Promise.reject(new Error('boom')))).toThrow("the payload of the schedule 'nightly' is a promise")
  expect(() => made(async () => boom())).toThrow("schedule 'nightly': payload is async")
})
