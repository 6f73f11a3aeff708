import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { deriveId } from '../../src/log/identity.ts'
import type { OutboxMessage, Publish } from '../../src/react/publisher.ts'
import { checkPublisher } from '../../src/testing/check-publisher.ts'
import { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedBroker } from '../../src/testing/simulated-broker.ts'
import { SimulatedThread } from '../../src/testing/simulated-thread.ts'
import { testSourceContract } from '../react/inbox-source-contract.ts'

const LONG_MS = 1e9

function setUp() {
  const kernel = new Kernel()
  const arrived: OutboxMessage[] = []
  let refused = ''
  const broker = new SimulatedBroker({
    kernel,
    random: new SeededRandom(1),
    onArrived: ({ message }) => arrived.push(message),
    refuses: ({ id }) => id === refused,
  })
  const main = new SimulatedThread(kernel, { wallMs: 0, rate: 1 })
  const refuse = (id: string): void => void (refused = id)
  const goAway = (): void => broker.server.schedule([{ kind: 'away', atMs: kernel.now, forMs: LONG_MS }])
  return { kernel, broker, main, arrived, refuse, goAway }
}

/** Lets simulated time pass while somebody waits for what happens in it. */
function passTime(kernel: Kernel): () => void {
  let isOver = false
  void (async () => {
    while (!isOver) {
      await kernel.run({ untilMs: kernel.now + 5 })
      await setImmediate()
    }
  })()
  return () => void (isOver = true)
}

for (const [name, keyOf] of [
  ['one row for all', () => 'all'],
  ['a row for each stream', ({ stream }: OutboxMessage) => stream],
] as const) {
  test(`the simulated broker keeps the promise of publishers: ${name}`, async () => {
    await checkPublisher(async () => {
      const { kernel, broker, main, arrived, refuse, goAway } = setUp()
      const stop = passTime(kernel)
      return {
        publisher: broker.publisher('here', main, { keyOf }),
        arrived: async () => arrived.map(({ json }) => json),
        goAway: async () => {
          goAway()
          await kernel.sleep(1)
        },
        comeBack: async () => broker.server.heal(),
        refuse: async (id) => refuse(id),
        cleanUp: async () => stop(),
      }
    })
  })
}

testSourceContract('the simulated broker', async () => {
  const { kernel, broker, main, goAway } = setUp()
  const stop = passTime(kernel)
  return {
    source: broker.source('row', 'here', main),
    add: async (fields) => broker.add('row', fields),
    trim: async (keeps) => void broker.trim('row', keeps),
    remove: async (id) => void broker.remove('row', id),
    goAway: async () => {
      goAway()
      await kernel.sleep(1)
    },
    comeBack: async () => broker.server.heal(),
    cleanUp: async () => stop(),
  }
})

const messages = [1, 2, 3, 4].map((version): OutboxMessage => {
  const event = { version: String(version), stream: 'order/1' } as OutboxMessage['event']
  return { id: deriveId('message', version), stream: 'order/1', event, json: JSON.stringify(event) }
})

/** What one call comes to: what has arrived of it, and what its caller was told. */
async function publishWith(fault: 'refused' | 'unheard' | 'late' | 'partly') {
  const { kernel, broker, main, arrived } = setUp()
  broker.server.fail([fault])
  const { publish } = broker.publisher('here', main, { keyOf: () => 'all' }).open('notices')
  const told: string[] = []
  let outcome = 'nothing'
  const call = {
    signal: new AbortController().signal,
    published: ({ event }) => told.push(event.version),
  } satisfies Parameters<Publish>[1]
  let arrivedThen = 0
  publish(messages, call).then(
    () => (outcome = 'done'),
    (error: unknown) => {
      outcome = String(error)
      arrivedThen = arrived.length
    },
  )
  await kernel.run({ untilMs: 5_000 })
  return { outcome, told, arrived: arrived.length, arrivedThen }
}

test('a call that goes wrong has its effect, or a part of it, or none, or later', async () => {
  expect(await publishWith('refused')).toMatchObject({
    told: [],
    arrived: 0,
    outcome: expect.stringContaining('refused'),
  })
  expect(await publishWith('unheard')).toMatchObject({
    told: [],
    arrived: 4,
    arrivedThen: 4,
    outcome: expect.stringContaining('broke'),
  })
  expect(await publishWith('late')).toMatchObject({
    told: [],
    arrived: 4,
    arrivedThen: 0,
    outcome: expect.stringContaining('broke'),
  })
  const partly = await publishWith('partly')
  expect(partly.arrived).toBeLessThan(4)
  expect(partly.told).toEqual(messages.slice(0, partly.arrived).map(({ event }) => event.version))
  expect(partly.outcome).toContain('there is no room')
})
