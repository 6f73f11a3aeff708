import { expect, onTestFinished, test } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineAggregate, defineCluster, defineReactor, startNode, type ReactorContext } from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

const Door = defineAggregate({
  type: 'door',
  initialState: () => 0,
  events: { Opened: (times) => times + 1 },
  commands: { open: (_times, _nothing: undefined, { emit }) => emit.Opened() },
})
const Broken = defineAggregate({
  type: 'broken',
  initialState: () => 0,
  events: {},
  commands: {
    go: (_state, _nothing: undefined): undefined => {
      throw new Error('a bug')
    },
  },
})

/** Why the event is parked whose handler this is; undefined where it is done with. */
async function parkedBy(handler: (ask: ReactorContext['ask']) => Promise<unknown>): Promise<string | undefined> {
  let handled = 0
  const opens = defineReactor({
    name: 'opens',
    from: [Door],
    startAt: 'beginning',
    retries: 0,
    on: {
      Opened: async ({ stream }, { ask }) => {
        if (stream === 'door/1') await handler(ask)
        handled += 1
      },
    },
  })
  const node = await startNode(
    defineCluster({
      name: 'doors',
      aggregates: [Door, Broken],
      reactors: [opens],
      dataDir: temporaryFolder(),
      shards: 1,
      workers: 'inline',
      onWarning: () => undefined,
    }),
  )
  onTestFinished(() => node.close())
  await node.ref(Door, '1').ask('open')
  await node.ref(Door, '2').ask('open')
  await expect.poll(async () => handled + (await node.reactor(opens).parked()).length).toBeGreaterThan(1)
  await expect.poll(async () => (await node.reactor(opens).status()).lanes[0]?.waiting).toBe(0)
  return (await node.reactor(opens).parked())[0]?.reason
}

const bug = expect.stringContaining('a bug') as string

test('what is asked, fails, and is looked at by nobody, fails its event, whether it fails before the handler ends or behind', async () => {
  expect(await parkedBy(async (ask) => void ask(Broken, '1', 'go'))).toEqual(bug)
  const early = parkedBy(async (ask) => {
    void ask(Broken, '1', 'go')
    await sleep(200)
  })
  expect(await early).toEqual(bug)
})

test('what is asked and fails is with whoever looks at it, at once or later', async () => {
  expect(await parkedBy((ask) => ask(Broken, '1', 'go').catch(() => undefined))).toBeUndefined()
  const late = parkedBy(async (ask) => {
    const asked = ask(Broken, '1', 'go')
    await sleep(200)
    expect(await Promise.allSettled([asked])).toMatchObject([{ status: 'rejected', reason: { code: 'HandlerFailed' } }])
  })
  expect(await late).toBeUndefined()
})
