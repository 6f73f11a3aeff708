import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineReactor,
  startNode,
  type ClusterDefinition,
  type Node,
} from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

const Ticket = defineAggregate({
  type: 'ticket',
  initialState: () => ({ reminders: 0, isClosed: false }),
  events: {
    Opened: (state, _data: { readonly remindInMs: number }) => state,
    Asked: (state, _data: { readonly remindInMs: number }) => state,
    Reminded: (state) => ({ ...state, reminders: state.reminders + 1 }),
    Closed: (state) => ({ ...state, isClosed: true }),
  },
  commands: {
    open: (_state, data: { readonly remindInMs: number }, { emit }) => emit.Opened(data),
    askAgain: (_state, data: { readonly remindInMs: number }, { emit }) => emit.Asked(data),
    remind: ({ isClosed }, _none: undefined, { emit, reject }) => (isClosed ? reject('Closed') : emit.Reminded()),
    close: (_state, _none: undefined, { emit }) => emit.Closed(),
  },
  queries: { reminders: ({ reminders }) => reminders },
})

const reminds = defineReactor({
  name: 'reminds',
  from: [Ticket],
  startAt: 'beginning',
  on: {
    Opened: async ({ stream, data }, { schedule }) => {
      const id = stream.slice('ticket/'.length)
      await schedule(id, { inMs: data.remindInMs }, Ticket, id, 'remind')
    },
    Asked: async ({ stream, data }, { schedule }) => {
      const id = stream.slice('ticket/'.length)
      await schedule(id, { inMs: data.remindInMs }, Ticket, id, 'remind')
    },
    Closed: async ({ stream }, { cancel }) => await cancel(stream.slice('ticket/'.length)),
  },
})

async function start(folder: string, more: Partial<ClusterDefinition> = {}): Promise<Node> {
  const config = defineCluster({
    name: 'timers',
    aggregates: [Ticket],
    reactors: [reminds],
    dataDir: folder,
    shards: 4,
    workers: 'inline',
    onWarning: (message) => warnings.push(message),
    ...more,
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  return node
}
const warnings: string[] = []

/** What is cancelled before that is cancelled in time also on a machine that stalls. */
const DUE_MS = 6_000

const reminders = (node: Node, id: string): Promise<number> => node.ref(Ticket, id).query('reminders')

test('what a reactor schedules is sent once; what is cancelled or replaced is not; and timers survive a restart', async () => {
  const folder = temporaryFolder()
  const first = await start(folder)
  await first.ref(Ticket, 'soon').ask('open', { remindInMs: 100 })
  await first.ref(Ticket, 'closed').ask('open', { remindInMs: DUE_MS })
  await first.ref(Ticket, 'later').ask('open', { remindInMs: DUE_MS })
  await first.ref(Ticket, 'replaced').ask('open', { remindInMs: 100_000 })
  await first.ref(Ticket, 'never').ask('open', { remindInMs: 3_600_000 * 24 * 300 })
  await expect.poll(() => reminders(first, 'soon')).toBe(1)
  await first.ref(Ticket, 'closed').ask('close')
  await first.ref(Ticket, 'replaced').ask('askAgain', { remindInMs: DUE_MS })
  await sleep(200)
  await first.close()
  await sleep(DUE_MS)

  const second = await start(folder)
  await expect.poll(() => reminders(second, 'later')).toBe(1)
  await expect.poll(() => reminders(second, 'replaced')).toBe(1)
  expect(await Promise.all(['soon', 'closed', 'never'].map((id) => reminders(second, id)))).toEqual([1, 0, 0])
  expect(warnings).toEqual([])
})

const Box = defineAggregate({
  type: 'box',
  initialState: () => 0,
  events: { Filled: (opened, _filled: { readonly characters: number }) => opened, Opened: (opened) => opened + 1 },
  commands: {
    fill: (_state, filled: { readonly characters: number }, { emit }) => emit.Filled(filled),
    open: (_state, _text: string, { emit }) => emit.Opened(),
  },
  queries: { opened: (opened) => opened },
})

test('where commands may take little, many timers at once are kept all the same, and one that takes too much is refused', async () => {
  const opens = defineReactor({
    name: 'opens',
    from: [Box],
    startAt: 'beginning',
    retries: 0,
    on: {
      Filled: async ({ stream, data: { characters } }, { schedule }) => {
        const id = stream.slice('box/'.length)
        await schedule(id, { inMs: 0 }, Box, id, 'open', 'x'.repeat(characters))
      },
    },
  })
  const limits = { commandBytesMax: 16_384 }
  const node = await start(temporaryFolder(), {
    aggregates: [Box],
    reactors: [opens],
    limits,
    shards: 1,
  })
  const large = Array.from({ length: 150 }, (_, i) => ({ id: `large${i}`, characters: 14_800 + i * 8 }))
  const small = Array.from({ length: 150 }, (_, i) => ({ id: `small${i}`, characters: 1 }))
  await Promise.all([...large, ...small].map(({ id, characters }) => node.ref(Box, id).ask('fill', { characters })))
  const openedOf = async (boxes: readonly { readonly id: string }[]): Promise<number> => {
    const opened = await Promise.all(boxes.map(({ id }) => node.ref(Box, id).query('opened')))
    return opened.filter((times) => times === 1).length
  }
  await expect.poll(() => openedOf(small), { timeout: 30_000 }).toBe(small.length)
  const refused = async (): Promise<readonly string[]> =>
    (await node.reactor(opens).parked({ limit: large.length })).map(({ reason }) => reason ?? '')
  await expect
    .poll(async () => (await openedOf(large)) + (await refused()).length, { timeout: 30_000 })
    .toBe(large.length)
  const reasons = await refused()
  expect(reasons.length).toBeGreaterThan(10)
  expect(large.length - reasons.length).toBeGreaterThan(10)
  expect(reasons.filter((reason) => !reason.includes('raise limits.commandBytesMax'))).toEqual([])
})
