import { expect, test } from 'vitest'
import type { Leases } from '../../src/cluster/leases.ts'
import { Kernel } from '../../src/testing/kernel.ts'
import { SimulatedLeases } from '../../src/testing/simulated-leases.ts'
import { beatOf, held, ids, testLeasesContract, TTL } from './leases-contract.ts'

/** A store whose simulated time goes on while something is awaited, and no longer. */
function simulated() {
  const kernel = new Kernel()
  const store = new SimulatedLeases(kernel)
  const passTime = async (ms: number): Promise<void> => void (await kernel.run({ untilMs: kernel.now + ms }))
  const awaited = async <Result>(answer: Promise<Result>): Promise<Result> => {
    let isDone = false
    const done = (): void => void (isDone = true)
    answer.then(done, done)
    await kernel.run({ untilMs: kernel.now + TTL, isDone: () => isDone })
    return answer
  }
  const connect = (who: string): Leases => {
    const leases = store.connect(who)
    return {
      beat: (beat) => awaited(leases.beat(beat)),
      look: () => awaited(leases.look()),
      leave: (member) => awaited(leases.leave(member)),
      close: () => leases.close(),
    }
  }
  return { kernel, store, passTime, connect }
}

testLeasesContract('the simulated lease store', async () => {
  const { store, passTime, connect } = simulated()
  return {
    connect,
    passTime,
    forget: async () => store.forget(),
    cleanUp: async () => undefined,
  }
})

const want = [{ shard: 1, worker: 0 }]

test('a simulated store grants twice when it is told to, and only once', async () => {
  const { store, connect } = simulated()
  const [a, b] = [connect('a'), connect('b')]
  await a.beat(beatOf('a', { isNew: true, want }))
  store.grantTwice()
  expect(held(await b.beat(beatOf('b', { want })))).toEqual(['1 b 0 0'])
  expect(held(await a.beat(beatOf('a', { want })))).toEqual(['1 b 0 0'])
})

test('a simulated store that is away takes nothing up, and knows everything afterwards', async () => {
  const { store, connect, passTime } = simulated()
  const a = connect('a')
  await a.beat(beatOf('a', { isNew: true, want }))
  store.beAway(5_000)
  await expect(a.beat(beatOf('a', { release: [{ shard: 1 }] }))).rejects.toMatchObject({
    code: 'LeasesUnavailable',
    retryable: true,
  })
  await passTime(5_000)
  expect(held((await a.look())!)).toEqual(['1 a 0 0'])
})

test('a place that is cut off from a simulated store does not reach it, and others do', async () => {
  const { store, connect, passTime } = simulated()
  const [a, b] = [connect('a'), connect('b')]
  await b.beat(beatOf('b', { isNew: true }))
  store.cutOff('a', 5_000)
  await expect(a.beat(beatOf('a'))).rejects.toMatchObject({ code: 'LeasesUnavailable' })
  expect(ids((await b.look())!)).toEqual(['b'])
  await passTime(5_000)
  expect(ids(await a.beat(beatOf('a')))).toEqual(['a', 'b'])
})

test('what was told to a simulated store while it hung takes its course, though nobody waits for it any more', async () => {
  const { store, connect, passTime } = simulated()
  const [a, b] = [connect('a'), connect('b')]
  await b.beat(beatOf('b', { isNew: true }))
  store.hang(TTL * 0.4)
  await expect(a.beat(beatOf('a', { want }))).rejects.toThrow('no answer')
  await passTime(TTL * 0.2)
  expect(held((await b.look())!)).toEqual(['1 a 0 0'])
})
