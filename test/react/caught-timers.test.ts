import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor, isPenholdError, type ReactorContext } from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const Alarm = defineAggregate({
  type: 'alarm',
  initialState: () => 0,
  events: { Set: (times) => times, Rung: (times) => times + 1 },
  commands: {
    set: (_times, _none: undefined, { emit }) => emit.Set(),
    ring: (_times, _none: undefined, { emit }) => emit.Rung(),
  },
})
const NEVER = { at: new Date(Number.NaN) }

/** Why its event is parked, where it is; and how often the alarm has rung. */
async function afterHandling(
  handler: (context: ReactorContext) => unknown,
): Promise<{ readonly reasons: readonly (string | undefined)[]; readonly rung: number }> {
  const reactor = defineReactor({
    name: 'reactor',
    from: [Alarm],
    startAt: 'beginning',
    retries: 0,
    on: { Set: (_event, context) => handler(context) },
  })
  const config = defineCluster({ name: 'caught', aggregates: [Alarm], reactors: [reactor], dataDir: 'none' })
  await using node = await startVirtualNode(config)
  await node.ref(Alarm, '1').ask('set')
  await node.pass(10_000)
  const reasons = (await node.reactor(reactor).parked()).map(({ reason }) => reason)
  return { reasons, rung: await node.ref(Alarm, '1').state() }
}

test('what is wrong with a timer is its handler’s to deal with, as what is wrong with a command is', async () => {
  const instead = async ({ schedule }: ReactorContext): Promise<void> => {
    try {
      await schedule('alarm', NEVER, Alarm, '1', 'ring')
    } catch (error) {
      if (!isPenholdError(error, 'BadTimer')) throw error
      await schedule('alarm', { inMs: 1_000 }, Alarm, '1', 'ring')
    }
  }
  expect(await afterHandling(instead)).toEqual({ reasons: [], rung: 1 })
})

test('a timer that nobody looks at fails its event where it cannot be set, and is set where it can', async () => {
  const wrong = ({ schedule }: ReactorContext): void => void schedule('alarm', NEVER, Alarm, '1', 'ring')
  expect((await afterHandling(wrong)).reasons).toEqual([expect.stringContaining("the timer 'alarm' is to be due at")])
  const right = ({ schedule }: ReactorContext): void => void schedule('alarm', { inMs: 1 }, Alarm, '1', 'ring')
  expect(await afterHandling(right)).toEqual({ reasons: [], rung: 1 })
})
