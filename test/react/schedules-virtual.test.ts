/** Schedules of a whole node, over virtual time. */
import { expect, onTestFinished, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineSchedule,
  type ClusterConfig,
  type ClusterDefinition,
  type Schedule,
} from '../../src/index.ts'
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
