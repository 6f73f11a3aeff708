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
