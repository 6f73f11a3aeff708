import { expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineReactor,
  defineSchedule,
  startNode,
  type Node,
  type Schedule,
} from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

const Log = defineAggregate({
  type: 'log',
  initialState: (): readonly string[] => [],
  events: { Noted: (times, { time }: { readonly time: string }) => [...times, time] },
  commands: { note: (_state, noted: { readonly time: string }, { emit }) => emit.Noted(noted) },
  queries: { times: (times) => times },
})

const everySecond = defineSchedule({
  name: 'every-second',
  cron: '* * * * * *',
  missed: 'all',
  aggregate: Log,
  id: 'seconds',
  command: 'note',
  payload: ({ time }) => ({ time: time.toISOString() }),
})
// So that timers are run where there is no schedule.
const idle = defineReactor({ name: 'idle', from: [Log], startAt: 'now', on: { Noted: () => undefined } })

async function start(folder: string, schedules: readonly Schedule[], warnings: string[] = []): Promise<Node> {
  const config = defineCluster({
    name: 'schedules',
    aggregates: [Log],
    reactors: [idle],
    schedules,
    dataDir: folder,
    shards: 4,
    workers: 'inline',
    onWarning: (message) => warnings.push(message),
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  return node
}

const timesOf = (node: Node): Promise<readonly string[]> => node.ref(Log, 'seconds').query('times')

test('a schedule is run at each of its times once, through a restart, and stops where no config has it', async () => {
  const folder = temporaryFolder()
  const first = await start(folder, [everySecond])
  await expect.poll(async () => (await timesOf(first)).length, { timeout: 30_000 }).toBeGreaterThan(1)
  await first.close()

  const second = await start(folder, [everySecond])
  const before = (await timesOf(second)).length
  await expect.poll(async () => (await timesOf(second)).length, { timeout: 30_000 }).toBeGreaterThan(before + 2)
  const seconds = (await timesOf(second)).map((time) => Date.parse(time) / 1_000)
  expect(seconds).toEqual(seconds.map((_, i) => seconds[0]! + i))
  await second.close()

  const warnings: string[] = []
  await start(folder, [], warnings)
  await expect
    .poll(() => warnings.join(), { timeout: 30_000 })
    .toContain("'every-second' is not in the config of this node")
})
