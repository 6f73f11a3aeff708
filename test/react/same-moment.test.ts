import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineAggregate, defineCluster, defineProcess, defineReactor } from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const HOUR = 3_600_000
const Invoice = defineAggregate({
  type: 'invoice',
  initialState: () => ({ reminders: 0, cents: 0 }),
  schemas: { charge: z.object({ cents: z.number().transform((euros) => euros * 100) }) },
  events: {
    Sent: (state) => state,
    Reminded: (state) => ({ ...state, reminders: state.reminders + 1 }),
    Charged: (state, { cents }: { cents: number }) => ({ ...state, cents: state.cents + cents }),
  },
  commands: {
    send: (_state, _none: undefined, { emit }) => emit.Sent(),
    remind: (_state, _none: undefined, { emit }) => emit.Reminded(),
    charge: (_state, payload, { emit }) => emit.Charged(payload),
  },
})
const MONTH_ENDS = new Date('2026-01-31T23:00:00Z')
const Reminders = defineProcess({
  type: 'reminders',
  from: [Invoice],
  to: [Invoice],
  timers: ['due'],
  startAt: 'beginning',
  correlate: { Sent: ({ stream }) => stream.slice('invoice/'.length) },
  initialState: () => 0,
  on: {
    Sent: (_state, _event, { schedule }) => schedule('due', { at: MONTH_ENDS }),
    due: (_state, _timer, { key, send }) => send(Invoice, key, 'remind'),
  },
})
const Charges = defineReactor({
  name: 'charges',
  from: [Invoice],
  startAt: 'beginning',
  on: {
    Sent: async ({ stream }, { schedule }) => {
      const id = stream.slice('invoice/'.length)
      await schedule(id, { inMs: HOUR }, Invoice, id, 'charge', { cents: 5 })
    },
  },
})
const config = defineCluster({
  name: 'invoices',
  aggregates: [Invoice],
  processes: [Reminders],
  reactors: [Charges],
  dataDir: 'none',
  shards: 1,
})

test('processes whose timers are due at one moment are each told then, whoever set theirs before', async () => {
  await using node = await startVirtualNode(config, { now: new Date('2026-01-31T20:00:00Z') })
  for (const id of ['1', '2', '3']) {
    await node.ref(Invoice, id).ask('send')
    await node.pass(1_000)
  }
  await node.pass(MONTH_ENDS.getTime() - Date.UTC(2026, 0, 31, 20))
  for (const id of ['1', '2', '3']) expect(await node.ref(Invoice, id).state()).toMatchObject({ reminders: 1 })
})

test('what a timer sends goes through its schema once', async () => {
  await using node = await startVirtualNode(config, { now: new Date('2026-01-31T20:00:00Z') })
  await node.ref(Invoice, '1').ask('send')
  await node.pass(HOUR + 5_000)
  expect(await node.ref(Invoice, '1').state()).toMatchObject({ cents: 500 })
})
