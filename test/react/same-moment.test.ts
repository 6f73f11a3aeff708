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
    Sent: (state, _data: { due: number }) => state,
    Reminded: (state) => ({ ...state, reminders: state.reminders + 1 }),
    Charged: (state, { cents }: { cents: number }) => ({ ...state, cents: state.cents + cents }),
  },
  commands: {
    send: (_state, data: { due: number }, { emit }) => emit.Sent(data),
    remind: (_state, _none: undefined, { emit }) => emit.Reminded(),
    charge: (_state, payload, { emit }) => emit.Charged(payload),
  },
})
const NOW = new Date('2026-01-31T20:00:00Z')
const MONTH_ENDS = NOW.getTime() + 3 * HOUR
const Reminders = defineProcess({
  type: 'reminders',
  from: [Invoice],
  to: [Invoice],
  timers: ['due'],
  startAt: 'beginning',
  correlate: { Sent: ({ stream }) => stream.slice('invoice/'.length) },
  initialState: () => 0,
  on: {
    Sent: (_state, { data: { due } }, { schedule }) => schedule('due', { at: due }),
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
const BASE = { name: 'invoices', aggregates: [Invoice], dataDir: 'none', shards: 1 }

test('processes whose timers are due at one moment hold up nobody, though they have set theirs one after the other', async () => {
  const config = defineCluster({ ...BASE, processes: [Reminders] })
  await using node = await startVirtualNode(config, { now: NOW })
  for (const id of ['a', 'b']) {
    await node.ref(Invoice, id).ask('send', { due: MONTH_ENDS })
    await node.pass(5_000)
  }
  // More than are placed at once, and due long before.
  const soon = NOW.getTime() + HOUR / 4
  for (let i = 0; i < 1_200; i += 1) await node.ref(Invoice, `${i}`).ask('send', { due: soon })
  await node.pass(HOUR / 2)
  const reminded = async (): Promise<number> => {
    const events = await Array.fromAsync(node.store.readAll({ categories: ['invoice'] }))
    return events.filter(({ type }) => type === 'Reminded').length
  }
  expect(await reminded()).toBe(1_200)
  await node.pass(3 * HOUR)
  expect(await reminded()).toBe(1_202)
})

test('what a timer sends goes through its schema once', async () => {
  const config = defineCluster({ ...BASE, reactors: [Charges] })
  await using node = await startVirtualNode(config, { now: NOW })
  await node.ref(Invoice, '1').ask('send', { due: MONTH_ENDS })
  await node.pass(HOUR + 5_000)
  expect(await node.ref(Invoice, '1').state()).toMatchObject({ cents: 500 })
})
