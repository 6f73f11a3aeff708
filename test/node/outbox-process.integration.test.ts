import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineOutbox,
  defineProcess,
  defineReactor,
  defineSchedule,
  startNode,
  type ClusterConfig,
} from '../../src/index.ts'
import { startOutbox } from '../../src/node/outbox-process.ts'
import { temporaryFolder } from '../temporary.ts'

const Log = defineAggregate({
  type: 'log',
  initialState: (): number => 0,
  events: { Noted: (count) => count + 1 },
  commands: { note: (_state, _none: undefined, { emit }) => emit.Noted() },
  queries: { count: (count) => count },
})

/** Whatever reacts to events; `note` is told what does. */
function configOf(dataDir: string, note: (what: string) => undefined): ClusterConfig {
  const reacts = defineReactor({
    name: 'reacts',
    from: [Log],
    startAt: 'beginning',
    on: { Noted: () => note('reactor') },
  })
  const Follows = defineProcess({
    type: 'follows',
    from: [Log],
    to: [],
    startAt: 'beginning',
    correlate: { Noted: ({ stream }) => stream.slice('log/'.length) },
    initialState: () => 0,
    evolve: {},
    on: { Noted: () => note('process') },
  })
  const ticks = {
    name: 'ticks',
    cron: '* * * * * *',
    missed: 'all',
    aggregate: Log,
    id: 'ticks',
    command: 'note',
  } as const
  const outbox = { startAt: 'beginning', from: [Log], map: { Noted: () => ({ type: 'noted' }) } } as const
  const publisher = (name: string) => async (messages: readonly unknown[]) => messages.forEach(() => note(name))
  return defineCluster({
    name: 'alone',
    aggregates: [Log],
    reactors: [reacts],
    processes: [Follows],
    schedules: [defineSchedule(ticks)],
    outboxes: [
      defineOutbox({ ...outbox, name: 'notes', publisher: publisher('notes') }),
      defineOutbox({ ...outbox, name: 'others', publisher: publisher('others') }),
    ],
    dataDir,
    shards: 4,
    workers: 'inline',
    onWarning: () => undefined,
  })
}

test('an outbox whose process is alone publishes, and runs nothing else that the config has', async () => {
  const folder = temporaryFolder()
  const bare = defineCluster({ name: 'alone', aggregates: [Log], dataDir: folder, shards: 4, workers: 'inline' })
  const before = await startNode(bare)
  for (let i = 0; i < 3; i += 1) await before.ref(Log, 'a').ask('note')
  await before.close()

  const noted: string[] = []
  const config = configOf(folder, (what): undefined => void noted.push(what))
  const running = await startOutbox(config, 'notes')
  onTestFinished(() => running.close())
  await expect.poll(() => noted.length).toBeGreaterThanOrEqual(3)
  // The schedule would be run by now.
  await sleep(2_500)
  expect(noted).toEqual(['notes', 'notes', 'notes'])
  await running.close()

  // A node does it, and from the beginning, as nobody has begun it.
  const node = await startNode(config)
  onTestFinished(() => node.close())
  await expect.poll(() => new Set(noted)).toEqual(new Set(['notes', 'others', 'reactor', 'process']))
  await expect.poll(() => node.ref(Log, 'ticks').query('count')).toBeGreaterThan(0)
})
