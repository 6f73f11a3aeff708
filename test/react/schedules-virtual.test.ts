/** Schedules of a whole node, over virtual time. */
import { expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineReactor,
  defineSchedule,
  type ClusterConfig,
  type ClusterDefinition,
  type Schedule,
} from '../../src/index.ts'
import { deriveId } from '../../src/log/identity.ts'
import { startVirtualNode, type VirtualNode } from '../../src/testing/index.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const Log = defineAggregate({
  type: 'log',
  initialState: (): readonly string[] => [],
  events: { Noted: (times, { time }: { readonly time: string }) => [...times, time] },
  commands: { note: (_state, noted: { readonly time: string }, { emit }) => emit.Noted(noted) },
})

function schedule(changes: Partial<Pick<Schedule, 'cron' | 'timezone' | 'missed'>> = {}): Schedule {
  return defineSchedule({
    name: 'noted',
    cron: '*/10 * * * *',
    missed: 'all',
    ...changes,
    aggregate: Log,
    id: '1',
    command: 'note',
    payload: ({ time }) => ({ time: time.toISOString().slice(11, 16) }),
  })
}

function config(schedules: readonly Schedule[], more: Partial<ClusterDefinition> = {}): ClusterConfig {
  return defineCluster({ name: 'schedules', aggregates: [Log], schedules, dataDir: 'nowhere', ...more })
}

async function start(...given: Parameters<typeof config>): Promise<VirtualNode> {
  const node = await startVirtualNode(config(...given))
  onTestFinished(() => node.close())
  return node
}

const noted = (node: VirtualNode): Promise<readonly string[]> => node.ref(Log, '1').state()

test('missed runs are made up for, however few events the commands of users may have', async () => {
  const node = await start([schedule()], { limits: { eventsPerCommandMax: 1 } })
  await node.pass(MINUTE)
  await node.restart({ downMs: 2 * HOUR })
  await node.pass(MINUTE)
  expect(await noted(node)).toHaveLength(12)
})

test('a run that has taken effect with another payload is done with, and told once', async () => {
  const warnings: string[] = []
  const node = await start([schedule()], { onWarning: (message) => void warnings.push(message) })
  for (const minute of [10, 20]) {
    const commandId = deriveId('schedule', 'noted', Date.UTC(2026, 0, 1, 0, minute))
    await node.ref(Log, '1').ask('note', { time: 'early' }, { commandId })
  }
  await node.pass(31 * MINUTE)
  expect(await noted(node)).toEqual(['early', 'early', '00:30'])
  expect(warnings).toEqual([
    expect.stringContaining("the schedule 'noted' has asked again for its run of 2026-01-01T00:10"),
  ])
})

test('a handler that asks for another time of a timer when its event is handled again has it fire at the first', async () => {
  const warnings: string[] = []
  let handled = 0
  const reminds = defineReactor({
    name: 'reminds',
    from: [Log],
    startAt: 'beginning',
    on: {
      Noted: async ({ data: { time } }, { schedule: set }) => {
        if (time !== 'first') return
        handled += 1
        await set('reminder', { inMs: handled * 5 * MINUTE }, Log, '1', 'note', { time: `try ${handled}` })
        if (handled < 3) throw new Error('not yet')
      },
    },
  })
  const more = { reactors: [reminds], onWarning: (message: string) => void warnings.push(message) }
  const node = await start([], more)
  await node.ref(Log, '1').ask('note', { time: 'first' })
  await node.pass(30 * MINUTE)
  expect(handled).toBe(3)
  expect(await noted(node)).toEqual(['first', 'try 1'])
  expect(warnings).toEqual([expect.stringContaining("reactor 'reminds' has asked again for its timer 'reminder'")])
})

test('out of the config a schedule stops; back within ten minutes it has missed what came in between, and later nothing', async () => {
  const idle = defineReactor({ name: 'idle', from: [Log], startAt: 'now', on: { Noted: () => undefined } })
  const more = { reactors: [idle], onWarning: () => undefined }
  const [there, gone] = [config([schedule({ cron: '* * * * *' })], more), config([], more)]
  const node = await start([schedule({ cron: '* * * * *' })], more)
  await node.pass(90_000)
  await node.restart({ config: gone })
  await node.pass(5 * MINUTE)
  expect(await noted(node)).toEqual(['00:01'])
  await node.restart({ config: there })
  await node.pass(MINUTE)
  expect((await noted(node)).slice(1, 6)).toEqual(['00:02', '00:03', '00:04', '00:05', '00:06'])
  await node.restart({ config: gone })
  await node.pass(20 * MINUTE)
  const before = await noted(node)
  const now = node.now.getTime()
  await node.restart({ config: there })
  await node.pass(3 * MINUTE)
  const after = (await noted(node)).slice(before.length)
  expect(after.length).toBeGreaterThan(1)
  expect(after.length).toBeLessThan(4)
  expect(Date.parse(`2026-01-01T${after[0]}Z`)).toBeGreaterThan(now - MINUTE)
})

test('with another cron a schedule goes on from the present, and nothing that has just come is lost', async () => {
  const node = await start([schedule()])
  await node.pass(9 * MINUTE)
  // Its run of 00:10 comes while it is deployed.
  await node.restart({ downMs: 70_000, config: config([schedule({ cron: '*/5 * * * *' })]) })
  await node.pass(6 * MINUTE)
  expect(await noted(node)).toEqual(['00:10', '00:15'])
  await node.restart({ downMs: 2 * HOUR, config: config([schedule()]) })
  await node.pass(10 * MINUTE)
  expect(await noted(node)).toEqual(['00:10', '00:15', '02:20'])
})
