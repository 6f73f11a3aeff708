import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor } from '../../../src/index.ts'
import type { Storage } from '../../../src/log/storage.ts'
import { SimulatedCluster } from '../../../src/testing/simulated-cluster.ts'

const counter = (type: string) =>
  defineAggregate({
    type,
    initialState: () => 0,
    events: { Counted: (count) => count + 1 },
    commands: { count: (_count, _nothing: undefined, { emit }) => emit.Counted() },
    queries: { sum: (count) => count },
  })
const Door = counter('door')
const Tally = counter('tally')
const IDS = Array.from({ length: 20 }, (_, i) => `${i}`)

test('an owner whose shards were claimed by somebody who died before the fence goes on with all that its consumers send', async () => {
  let isArmed = false
  const strike = (storage: Storage): Storage =>
    new Proxy(storage, {
      get(target, key: keyof Storage) {
        const value: unknown = target[key]
        if (key !== 'createMark') return typeof value === 'function' ? (value.bind(target) as unknown) : value
        return async (path: string): Promise<boolean> => {
          if (!isArmed || !path.endsWith('.fence')) return await target.createMark(path)
          isArmed = false
          cluster.schedule([{ kind: 'kill-node', place: 1, atMs: kernel.now }])
          return await new Promise<boolean>(() => undefined)
        }
      },
    })
  const notes = defineReactor({
    name: 'notes',
    from: [Door],
    startAt: 'beginning',
    on: { Counted: ({ stream }, { ask }) => ask(Tally, stream.slice('door/'.length), 'count') },
  })
  const cluster = new SimulatedCluster({
    seed: 1,
    config: defineCluster({ name: 'simulated', aggregates: [Door, Tally], dataDir: 'none', workers: 1, shards: 8 }),
    joinsAtMs: [0, 10],
    parts: () => ({ reactors: [notes] }),
    wrapStorage: strike,
  })
  const { kernel } = cluster
  await kernel.run({ untilMs: 10_000 })
  const here = cluster.nodes[0]!
  const count = (): void => {
    for (const id of IDS)
      void here.running
        .ref(Door, id)
        .ask('count')
        .catch(() => undefined)
  }
  const sums = async (): Promise<readonly unknown[]> => {
    const told: unknown[] = []
    here.main.run(() => {
      for (const id of IDS)
        void here.running
          .ref(Tally, id)
          .query('sum')
          .then((sum) => told.push(sum))
    })
    await kernel.run({ untilMs: kernel.now + 20_000, isDone: () => told.length === IDS.length })
    return told
  }
  here.main.run(count)
  await kernel.run({ untilMs: kernel.now + 5_000 })
  expect(await sums()).toEqual(IDS.map(() => 1))
  isArmed = true
  cluster.schedule([{ kind: 'leases-cut-off', place: 0, atMs: kernel.now, forMs: 1_200 }])
  await kernel.run({ untilMs: kernel.now + 20_000 })
  expect(isArmed).toBe(false)
  here.main.run(count)
  await kernel.run({ untilMs: kernel.now + 60_000 })
  expect(await sums()).toEqual(IDS.map(() => 2))
  cluster.killAll()
})
