import { expect, test } from 'vitest'
import { AskingEnd, ServingEnd } from '../../src/cluster/channels.ts'
import { createLinkPair, type Link } from '../../src/cluster/link.ts'
import { BACKLOG_BYTES_MAX } from '../../src/cluster/network.ts'
import { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedNetwork } from '../../src/testing/simulated-network.ts'
import { SimulatedThread } from '../../src/testing/simulated-thread.ts'
import { turn } from '../actor/simulated-bank.ts'
import { Accepted, FAR, NEAR } from './network-ends.ts'

const FRAME_BYTES = 1_000_000

/** Two workers behind a connection, and who asks them. */
async function open() {
  const kernel = new Kernel()
  const network = new SimulatedNetwork(kernel, new SeededRandom(1), 5)
  const threads = { wallMs: 0, rate: 1 }
  const accepted = new Accepted()
  const far = network.host('far', new SimulatedThread(kernel, threads))
  await far.listen('far:1', () => ({ ...FAR, protocol: 2 }), accepted.take)
  const near = network.host('near', new SimulatedThread(kernel, threads))
  const calling = near.connect('far:1', { ...NEAR, purpose: 'messages' }, { timeoutMs: 1_000 })
  const pass = async (ms: number): Promise<void> => {
    await kernel.run({ untilMs: kernel.now + ms })
    await turn()
  }
  await pass(50)
  const [connection, servingConnection] = [await calling, await accepted.next()]
  const ends: string[] = []
  for (const each of [connection, servingConnection]) each.onClose(({ kind }) => ends.push(kind))
  const links: Link[] = []
  const onBadFrame = (error: unknown): void => {
    throw error
  }
  const onHere = (_worker: number, link: Link): void => void links.push(link)
  void new AskingEnd(connection, { onHere, onGone: () => undefined, onBadFrame })
  const serving = new ServingEnd(servingConnection, onBadFrame)
  const workers = [0, 1].map((worker) => {
    const [link, end] = createLinkPair(new SimulatedClock())
    serving.attach(worker, link)
    return end
  })
  await pass(50)
  return { links, workers, serving, connection, ends, pass }
}

test('replies beyond a backlog wait for a peer that takes them, and arrive in order', async () => {
  const { links, workers, ends, pass } = await open()
  const received: number[] = []
  links[0]!.onFrame((frame) => received.push(frame[0]!))
  const count = Math.ceil(BACKLOG_BYTES_MAX / FRAME_BYTES) + 30
  for (let i = 0; i < count; i += 1) workers[0]!.send(new Uint8Array(FRAME_BYTES).fill(i))
  await turn()
  await pass(60_000)
  expect(received).toEqual(Array.from({ length: count }, (_, i) => i))
  expect(ends).toEqual([])
})

test('a peer that takes no replies is cut off before it costs too much', async () => {
  const { workers, connection, ends, pass } = await open()
  connection.pause()
  for (let i = 0; i < 400; i += 1) workers[0]!.send(new Uint8Array(FRAME_BYTES))
  await turn()
  await pass(1_000)
  expect(ends).toContain('too-slow')
})

test('links over one connection are full together, and each has its turn when it drains', async () => {
  const { links, workers, ends, pass } = await open()
  const taken = [0, 0]
  for (const [i, worker] of workers.entries()) worker.onFrame(() => (taken[i]! += 1))
  const left = [100, 100]
  const fill = (i: number): void => {
    while (left[i]! > 0 && !links[i]!.isFull) {
      left[i]! -= 1
      links[i]!.send(new Uint8Array(FRAME_BYTES))
    }
  }
  for (const i of [0, 1]) links[i]!.onDrain(() => fill(i))
  fill(0)
  fill(1)
  expect(links.map(({ isFull }) => isFull)).toEqual([true, true])
  expect(left[1]).toBe(100)
  await pass(200)
  expect(taken.every((count) => count > 0 && count < 100)).toBe(true)
  await pass(60_000)
  expect([taken, ends]).toEqual([[100, 100], []])
})

test('of a peer that asks more than a worker takes nothing is read until the worker has caught up', async () => {
  const { links, serving, pass } = await open()
  let taken = 0
  let onDrain = (): void => undefined
  const worker = { isFull: false }
  const link: Link = {
    get isFull() {
      return worker.isFull
    },
    send: () => void ((taken += 1), (worker.isFull = taken === 3)),
    onFrame: () => undefined,
    onDrain: (callback) => (onDrain = callback),
    close: () => undefined,
  }
  serving.attach(2, link)
  await pass(50)
  for (let i = 0; i < 10; i += 1) links[2]!.send(new Uint8Array(10))
  await pass(1_000)
  expect(taken).toBe(3)
  worker.isFull = false
  onDrain()
  await pass(1_000)
  expect(taken).toBe(10)
})
