import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BEGINNING } from '../../src/read/all.ts'
import type { Change, ReadModel } from '../../src/read/read-model.ts'
import type { MemoryModel } from '../../src/read/memory-read-model.ts'
import { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedReadModels } from '../../src/testing/simulated-read-models.ts'
import { SimulatedThread } from '../../src/testing/simulated-thread.ts'
import { testReadModelContract } from '../read/read-model-contract.ts'

type Model = MemoryModel<ReturnType<typeof create>>

const create = () => ({ numbers: new Map<string, number>() })
const machine = { wallMs: 0, rate: 1 }

function setUp() {
  const kernel = new Kernel()
  const landed: string[] = []
  const models = new SimulatedReadModels({
    kernel,
    random: new SeededRandom(1),
    create,
    onLanded: ({ change: { to }, isAwaited }) => landed.push(`${to.position} ${isAwaited ? 'awaited' : 'given up'}`),
  })
  const thread = () => new SimulatedThread(kernel, machine)
  return { kernel, models, thread, landed }
}

testReadModelContract('a simulated server', async () => {
  const { kernel, models, thread } = setUp()
  let isOver = false
  void (async () => {
    while (!isOver) {
      await kernel.run({ untilMs: kernel.now + 1 })
      await setImmediate()
    }
  })()
  return {
    open: (projection) => models.connect('here', thread()).open(projection),
    set: ({ numbers }, name, value) => void numbers.set(name, value),
    get: ({ numbers }, name) => numbers.get(name),
    cleanUp: async () => void (isOver = true),
  }
})

function change(fields: Partial<Change<Model>>): Change<Model> {
  return {
    lane: 'all',
    from: BEGINNING,
    to: { position: 5, shard: 0 },
    park: [],
    unpark: [],
    apply: ({ numbers }) => void numbers.set('a', 1),
    ...fields,
  }
}

async function openOn(of: ReturnType<typeof setUp>, thread: SimulatedThread): Promise<ReadModel<Model>> {
  const opening = of.models.connect('here', thread).open('numbers')
  await of.kernel.run({ untilMs: of.kernel.now + 10 })
  return await opening
}

/** What is told within a while: `done`, the reason of a failure, or nothing. */
async function toldOf(kernel: Kernel, work: Promise<unknown>): Promise<string> {
  let told = 'nothing'
  work.then(
    () => (told = 'done'),
    (error: unknown) => (told = String(error)),
  )
  await kernel.run({ untilMs: kernel.now + 5_000 })
  return told
}

async function valueIn({ models }: ReturnType<typeof setUp>): Promise<number | undefined> {
  return await (await models.look('numbers')).query(1, ({ numbers }) => numbers.get('a'))
}

test('a call that is refused changes nothing, and one that is unheard does', async () => {
  const world = setUp()
  const model = await openOn(world, world.thread())
  world.models.fail(['refused', 'unheard'])
  expect(await toldOf(world.kernel, model.commit(1, change({})))).toContain('refused')
  expect(await valueIn(world)).toBe(undefined)
  expect(await toldOf(world.kernel, model.commit(1, change({})))).toContain('broke')
  expect(await valueIn(world)).toBe(1)
  expect(world.landed).toEqual(['5 awaited'])
})

test('one that is late takes effect after its caller was told that the connection broke', async () => {
  const world = setUp()
  const model = await openOn(world, world.thread())
  world.models.fail(['late'])
  expect(await toldOf(world.kernel, model.commit(1, change({})))).toContain('broke')
  expect(world.landed).toEqual(['5 given up'])
})

test('a process that is killed while its handlers run holds its lane for a while, and changes nothing', async () => {
  const world = setUp()
  const thread = world.thread()
  const first = await openOn(world, thread)
  const second = await openOn(world, world.thread())
  const apply = ({ numbers }: Model) => {
    numbers.set('a', 7)
    thread.kill()
    return new Promise<void>(() => undefined)
  }
  void first.commit(1, change({ apply }))
  await world.kernel.run({ untilMs: world.kernel.now + 100, isDone: () => thread.isDead })
  expect(await toldOf(world.kernel, second.commit(1, change({})))).toContain('no answer')
  expect(await valueIn(world)).toBe(undefined)
  expect(await toldOf(world.kernel, second.commit(1, change({})))).toBe('done')
})

test('a process that is stopped before its handlers run is rolled back, and goes on without effect', async () => {
  const world = setUp()
  const thread = world.thread()
  const first = await openOn(world, thread)
  const second = await openOn(world, world.thread())
  const stopped = first.commit(1, change({ apply: ({ numbers }) => void numbers.set('a', 7) }))
  thread.stop()
  await world.kernel.run({ untilMs: world.kernel.now + 900 })
  expect(await toldOf(world.kernel, second.commit(1, change({})))).toBe('done')
  thread.wake()
  expect(await toldOf(world.kernel, stopped)).toContain('no answer')
  expect(await valueIn(world)).toBe(1)
})

test('whoever is cut off is not answered, and others are', async () => {
  const world = setUp()
  const here = await openOn(world, world.thread())
  const there = await (async () => {
    const opening = world.models.connect('there', world.thread()).open('numbers')
    await world.kernel.run({ untilMs: world.kernel.now + 10 })
    return await opening
  })()
  world.models.cutOff('here', 60_000)
  expect(await toldOf(world.kernel, here.places(1))).toContain('no answer')
  expect(await toldOf(world.kernel, there.places(1))).toBe('done')
  world.models.heal()
  expect(await toldOf(world.kernel, here.places(1))).toBe('done')
})
