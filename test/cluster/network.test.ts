import { beforeEach, describe, expect, test } from 'vitest'
import type { Connection, Network } from '../../src/cluster/network.ts'
import { TcpNetwork } from '../../src/platform/tcp-network.ts'
import { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedNetwork } from '../../src/testing/simulated-network.ts'
import { SimulatedThread } from '../../src/testing/simulated-thread.ts'
import { testNetworkContract } from './network-contract.ts'
import { Accepted, closed, FAR, frameOf, NEAR } from './network-ends.ts'
import { certificates } from '../platform/certificates.ts'

const LOOPBACK = { address: '127.0.0.1:0', nowhere: '127.0.0.1:1' }
const SECRET = 'a secret of thirty-two characters'

for (const [name, options] of Object.entries({
  'the network over TCP': {},
  'the network over TCP with a shared secret': { secrets: [SECRET] },
  'the network over TLS': { tls: certificates.ours },
  'the network over TLS with a shared secret': { secrets: [SECRET], tls: certificates.ours },
})) {
  testNetworkContract(name, () => ({
    ...LOOPBACK,
    near: new TcpNetwork(options),
    far: new TcpNetwork(options),
    until: (promise) => promise,
    cleanUp: () => undefined,
  }))
}

interface Simulated {
  readonly kernel: Kernel
  readonly network: SimulatedNetwork
  readonly threads: Readonly<Record<'a' | 'b', SimulatedThread>>
  readonly a: Network
  readonly b: Network
}

function simulate(seed = 1): Simulated {
  const kernel = new Kernel()
  const network = new SimulatedNetwork(kernel, new SeededRandom(seed), 5)
  const machine = { wallMs: 0, rate: 1 }
  const threads = { a: new SimulatedThread(kernel, machine), b: new SimulatedThread(kernel, machine) }
  return { kernel, network, threads, a: network.host('a', threads.a), b: network.host('b', threads.b) }
}

async function until<T>(kernel: Kernel, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const settle = (): void => void (isSettled = true)
  promise.then(settle, settle)
  await kernel.run({ untilMs: kernel.now + 600_000, isDone: () => isSettled })
  expect(isSettled, 'something is to happen within ten minutes').toBe(true)
  return promise
}

testNetworkContract('the simulated network', () => {
  const { kernel, a, b } = simulate()
  return {
    near: a,
    far: b,
    address: 'b:0',
    nowhere: 'b:1',
    until: (promise) => until(kernel, promise),
    cleanUp: () => undefined,
  }
})

describe('the simulated network', () => {
  let simulated: Simulated
  let accepted: Accepted
  let near: Connection
  let far: Connection
  const told: string[] = []
  const pass = (ms: number): Promise<boolean> => simulated.kernel.run({ untilMs: simulated.kernel.now + ms })
  const dial = (timeoutMs = 1000): Promise<Connection> => simulated.a.connect('b:7', NEAR, { timeoutMs })

  beforeEach(async () => {
    simulated = simulate()
    accepted = new Accepted()
    await simulated.b.listen('b:7', () => FAR, accepted.take)
    near = await until(simulated.kernel, dial())
    far = await until(simulated.kernel, accepted.next())
    told.length = 0
    near.onFrame((frame) => told.push(`near ${frame.length}`))
    far.onFrame((frame) => told.push(`far ${frame.length}`))
    near.onClose(({ kind }) => told.push(`near ${kind}`))
    far.onClose(({ kind }) => told.push(`far ${kind}`))
  })

  test('a cut of one direction lets the other through, and tells nobody', async () => {
    simulated.network.cut({ from: 'a', to: 'b' })
    near.send(frameOf(1))
    far.send(frameOf(2))
    near.close()
    await pass(100_000)
    expect(told).toEqual(['near closed'])
    expect(await settled(dial())).toMatchObject({ kind: 'timeout' })
  })

  test('what waited at a cut arrives in order once it is mended, as what TCP sends again', async () => {
    simulated.network.cut({ from: 'a', to: 'b' })
    for (let i = 0; i < 20; i += 1) near.send(frameOf(i))
    await pass(10_000)
    simulated.network.mend({ from: 'a', to: 'b' })
    near.send(frameOf(20))
    await pass(100)
    expect(told).toEqual(Array.from({ length: 21 }, (_, i) => `far ${i}`))
  })

  test('a reset is told to both, and what was under way is lost, or late', async () => {
    const seen = new Set<string>()
    for (let seed = 1; seen.size < 2; seed += 1) {
      const { kernel, network, a, b } = simulate(seed)
      const others = new Accepted()
      await b.listen('b:7', () => FAR, others.take)
      const caller = await until(kernel, a.connect('b:7', NEAR, { timeoutMs: 1000 }))
      const called = await until(kernel, others.next())
      const order: string[] = []
      caller.onClose(({ kind }) => order.push(`near ${kind}`))
      called.onFrame((frame) => order.push(`far ${frame.length}`))
      called.onClose(({ kind }) => order.push(`far ${kind}`))
      network.reset('b', 'a')
      caller.send(frameOf(1))
      await kernel.run({ untilMs: kernel.now + 10_000 })
      seen.add(order.join(', '))
    }
    expect([...seen].toSorted()).toEqual(['near broken, far 1, far broken', 'near broken, far broken'])
  })

  test('a killed node says nothing more, and its peer is told after a while', async () => {
    simulated.threads.b.kill()
    simulated.network.died('b')
    near.send(frameOf(1))
    await pass(100)
    expect(told).toEqual([])
    await pass(1000)
    expect(told).toEqual(['near broken'])
    expect(await settled(dial())).toMatchObject({ kind: 'unreachable' })
    const again = simulated.network.host('b', new SimulatedThread(simulated.kernel, { wallMs: 0, rate: 1 }))
    await again.listen('b:7', () => FAR, accepted.take)
    expect((await until(simulated.kernel, dial())).peer).toEqual(FAR)
  })

  test('a stopped node answers nobody until it wakes up, and then nobody who has given up', async () => {
    simulated.threads.b.stop()
    near.send(frameOf(1))
    expect(await settled(dial())).toMatchObject({ kind: 'timeout' })
    expect(told).toEqual([])
    simulated.threads.b.wake()
    const late = await until(simulated.kernel, accepted.next())
    late.onFrame(() => undefined)
    expect(await until(simulated.kernel, closed(late))).toMatchObject({ kind: 'closed' })
    expect(told).toEqual(['far 1'])
  })

  test('a host that refuses takes no new connections, and keeps those that stand', async () => {
    simulated.network.refuse('b', true)
    expect(await settled(dial())).toMatchObject({ kind: 'unreachable' })
    near.send(frameOf(1))
    await pass(100)
    expect(told).toEqual(['far 1'])
    simulated.network.refuse('b', false)
    expect(await settled(dial())).toMatchObject({ protocol: 2 })
  })

  test('a delay is of one direction', async () => {
    simulated.network.delay({ from: 'a', to: 'b' }, 1000)
    near.send(frameOf(1))
    far.send(frameOf(2))
    await pass(500)
    expect(told).toEqual(['near 2'])
    await pass(1000)
    expect(told).toEqual(['near 2', 'far 1'])
  })

  test('two runs of one seed go the same way, and another seed another', async () => {
    const traces: number[] = []
    for (const seed of [1, 1, 2]) {
      const { kernel, a, b } = simulate(seed)
      const others = new Accepted()
      await b.listen('b:7', () => FAR, others.take)
      const caller = await until(kernel, a.connect('b:7', NEAR, { timeoutMs: 100 }))
      for (let i = 0; i < 10; i += 1) caller.send(frameOf(i))
      await kernel.run({ untilMs: 1000 })
      traces.push(
        kernel.trace ^
          Math.round(
            (await until(
              kernel,
              others.next().then(() => kernel.now),
            )) * 1000,
          ),
      )
    }
    expect(traces[0]).toBe(traces[1])
  })

  const settled = (attempt: Promise<Connection>): Promise<unknown> =>
    until(
      simulated.kernel,
      attempt.catch((error: unknown) => error),
    )
})
