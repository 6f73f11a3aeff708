import { expect, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineOutbox,
  defineProcess,
  defineReactor,
  defineSchedule,
} from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const HOUR = 3_600_000

const Incident = defineAggregate({
  type: 'incident',
  initialState: () => ({ escalations: 0, checks: 0 }),
  events: {
    Opened: (state) => state,
    Escalated: (state) => ({ ...state, escalations: state.escalations + 1 }),
    Closed: (state) => state,
    Checked: (state, _data: { readonly day: string }) => ({ ...state, checks: state.checks + 1 }),
  },
  commands: {
    open: (_state, _none: undefined, { emit }) => emit.Opened(),
    escalate: (_state, _none: undefined, { emit }) => emit.Escalated(),
    close: (_state, _none: undefined, { emit }) => emit.Closed(),
    check: (_state, day: { readonly day: string }, { emit }) => emit.Checked(day),
  },
})
const escalation = defineReactor({
  name: 'escalation',
  from: [Incident],
  startAt: 'beginning',
  on: {
    Opened: ({ stream }, { schedule }) => {
      const id = stream.slice('incident/'.length)
      return schedule(id, { inMs: 2 * HOUR }, Incident, id, 'escalate')
    },
    Closed: ({ stream }, { cancel }) => cancel(stream.slice('incident/'.length)),
  },
})
const daily = defineSchedule({
  name: 'daily',
  cron: '0 6 * * *',
  missed: 'once',
  aggregate: Incident,
  id: 'all',
  command: 'check',
  payload: ({ time }) => ({ day: time.toISOString() }),
})
const config = defineCluster({
  name: 'test',
  aggregates: [Incident],
  reactors: [escalation],
  schedules: [daily],
  dataDir: 'none',
})

test('timers fire as virtual time passes, and not before', async () => {
  await using node = await startVirtualNode(config)
  const first = node.ref(Incident, '1')
  const second = node.ref(Incident, '2')
  await first.ask('open')
  await second.ask('open')
  await node.pass(HOUR)
  await second.ask('close')
  await node.pass(HOUR - 1_000)
  expect(await first.state()).toMatchObject({ escalations: 0 })
  await node.pass(2_000)
  expect(await first.state()).toMatchObject({ escalations: 1 })
  await node.pass(2 * HOUR)
  expect(await first.state()).toMatchObject({ escalations: 1 })
  expect(await second.state()).toMatchObject({ escalations: 0 })
})

test('what came due while it was down fires late, and of missed runs of a schedule one', async () => {
  await using node = await startVirtualNode(config, { now: new Date('2026-03-01T00:00:00Z') })
  await node.ref(Incident, '1').ask('open')
  await node.pass(10_000)
  await node.restart({ downMs: 100 * HOUR })
  await node.pass(10_000)
  expect(await node.ref(Incident, '1').state()).toMatchObject({ escalations: 1 })
  expect(await node.ref(Incident, 'all').state()).toMatchObject({ checks: 1 })
  const events = await Array.fromAsync(node.store.readAll({ categories: ['incident'] }))
  expect(events.find(({ type }) => type === 'Checked')?.data).toEqual({ day: '2026-03-04T06:00:00.000Z' })
})

test('what synchronous reactors do is done when a reply comes, and no time has passed', async () => {
  const tidied = defineReactor({
    name: 'tidied',
    from: [Incident],
    startAt: 'beginning',
    mode: 'synchronous',
    on: {
      Escalated: async ({ stream }, { ask }) => {
        await ask(Incident, stream.slice('incident/'.length), 'close')
      },
      Closed: () => {
        throw new Error('nobody is there')
      },
    },
  })
  await using node = await startVirtualNode({ ...config, reactors: [tidied] })
  const before = node.now
  const { unsettled } = await node.ref(Incident, '1').ask('escalate')
  expect(unsettled).toBe(undefined)
  expect((await Array.fromAsync(node.store.load('incident/1'))).map(({ type }) => type)).toEqual([
    'Escalated',
    'Closed',
  ])
  expect((await node.ref(Incident, '2').ask('close')).unsettled).toMatchObject([{ reactor: 'tidied', state: 'failed' }])
  expect(node.now).toEqual(before)
  await node.restart()
  expect((await node.ref(Incident, '3').ask('escalate')).unsettled).toBe(undefined)
})

test('it tells of its processes, its reactors and its outboxes as any node does', async () => {
  let isMended = false
  const mails = defineReactor({
    name: 'mails',
    from: [Incident],
    startAt: 'beginning',
    retries: 2,
    on: {
      Opened: () => {
        if (!isMended) throw new Error('no such address')
      },
    },
  })
  const care = defineProcess({
    type: 'care',
    from: [Incident],
    timers: ['look'],
    startAt: 'beginning',
    correlate: { Opened: ({ stream }) => stream.slice('incident/'.length) },
    initialState: () => ({ looks: 0 }),
    evolve: { look: ({ looks }) => ({ looks: looks + 1 }) },
    on: {
      Opened: (_state, _event, { schedule }) => schedule('look', { inMs: HOUR }),
      look: (_state, _timer, { complete }) => complete(),
    },
  })
  const published: string[] = []
  const outside = defineOutbox({
    name: 'outside',
    from: [Incident],
    startAt: 'beginning',
    map: { Opened: () => ({ type: 'opened' }) },
    publisher: (messages) => {
      published.push(...messages.map(({ stream }) => stream))
      return Promise.resolve()
    },
  })
  const whole = defineCluster({ ...config, reactors: [mails], processes: [care], outboxes: [outside] })
  await using node = await startVirtualNode(whole)
  await node.ref(Incident, '1').ask('open')
  await node.pass(1_000)
  expect(await node.reactor(mails).parked()).toMatchObject([{ stream: 'incident/1', reason: 'Error: no such address' }])
  expect((await node.process(care, '1').state()).timers).toMatchObject([{ id: 'look' }])
  expect(published).toEqual(['incident/1'])
  expect((await node.outbox(outside).status()).state).toBe('caught up')

  isMended = true
  const retried = node.reactor(mails).retryParked('incident/1')
  await node.pass(HOUR)
  expect((await retried).failed).toBeUndefined()
  expect(await node.reactor(mails).parked()).toEqual([])
  expect(await node.process(care, '1').state()).toMatchObject({ state: { looks: 1 }, isCompleted: true })
})
