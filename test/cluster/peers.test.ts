import { expect, test } from 'vitest'
import { encodeControl } from '../../src/cluster/control.ts'
import type { Link } from '../../src/cluster/link.ts'
import { ConnectionError, type Connection, type Greeting, type Network } from '../../src/cluster/network.ts'
import { Peers } from '../../src/cluster/peers.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { turn } from '../actor/simulated-bank.ts'
import { FAR, NEAR } from './network-ends.ts'

/** What a peer's connection was asked to do. */
function createEnd() {
  const end = {
    isClosed: false,
    readers: 0,
    backlogBytes: 0,
    say: (_frame: Uint8Array<ArrayBuffer>): void => undefined,
  }
  let onClose = (_reason: ConnectionError): void => undefined
  const connection: Partial<Connection> = {
    peer: FAR,
    protocol: 2,
    get backlogBytes() {
      return end.backlogBytes
    },
    send: () => undefined,
    onDrain: () => undefined,
    onFrame(receive) {
      end.readers += 1
      end.say = receive
    },
    onClose: (callback) => void (onClose = callback),
    close: () => void (end.isClosed = true),
  }
  const breakOff = (): void => onClose(new ConnectionError('broken', 'the connection broke'))
  return { end, connection: connection as Connection, breakOff }
}

/** A peer that answers calls when it is told to. */
function open() {
  const clock = new SimulatedClock()
  const calls: { purpose: string; answer: PromiseWithResolvers<Connection> }[] = []
  const network: Pick<Network, 'connect'> = {
    connect(_address, { purpose }) {
      const answer = Promise.withResolvers<Connection>()
      calls.push({ purpose, answer })
      return answer.promise
    },
  }
  const here: string[] = []
  const links: Link[] = []
  const warnings: string[] = []
  const peers = new Peers({
    network: network as Network,
    clock,
    greeting: (purpose): Greeting => ({ ...NEAR, purpose }),
    onHere: (owner, link) => {
      here.push(owner)
      links.push(link)
    },
    onGone: () => undefined,
    onServing: () => undefined,
    onDropped: () => undefined,
    onWarning: (message) => void warnings.push(message),
  })
  const member = { id: FAR.member, name: 'far', address: 'far:1', workers: 1, weight: 1, protocol: 2 }
  peers.update([{ ...member, state: 'up' }])
  const answer = async (call: number) => {
    const made = createEnd()
    calls[call]!.answer.resolve(made.connection)
    await turn()
    return made
  }
  return { clock, calls, here, links, warnings, peers, answer }
}

test('a dial that takes longer than the next one is dropped', async () => {
  const { clock, calls, here, peers, answer } = open()
  const control = await answer(0)
  control.breakOff()
  clock.advance(150)
  expect(calls.map(({ purpose }) => purpose)).toEqual(['control', 'messages', 'control'])
  const nextControl = await answer(2)
  const late = await answer(1)
  const nextMessages = await answer(3)
  expect(control.end.isClosed).toBe(true)
  expect([late.end.isClosed, late.end.readers]).toEqual([true, 0])
  for (const { end } of [nextControl, nextMessages]) expect([end.isClosed, end.readers]).toEqual([false, 1])
  nextMessages.end.say(Uint8Array.of(2, 0, 0))
  expect(here).toEqual([`${FAR.member}/0`])
  expect(peers.reaches(FAR.member)).toBe(true)
  expect(calls).toHaveLength(4)
})

test('a peer that says nothing is hung up; but not because this thread was held, and has read nothing', async () => {
  const { clock, peers, answer } = open()
  const [monotonic, held] = [clock.monotonic.bind(clock), { ms: 0 }]
  clock.monotonic = () => monotonic() + held.ms
  const control = await answer(0)
  await answer(1)
  clock.advance(900)
  held.ms = 10_000
  clock.advance(100)
  expect(peers.reaches(FAR.member)).toBe(true)
  clock.advance(5_000)
  expect(peers.reaches(FAR.member)).toBe(false)
  expect(control.end.isClosed).toBe(true)
})

test('whoever is called no more is hung up when it answers after all', async () => {
  const { clock, calls, peers, answer } = open()
  peers.close()
  const late = await answer(0)
  clock.advance(10_000)
  await turn()
  expect([late.end.isClosed, calls.length]).toEqual([true, 1])
})

/** A peer with one worker, which answers pings; seconds pass, in each of which something may be asked and answered. */
async function openLively() {
  const opened = open()
  const control = await opened.answer(0)
  const messages = await opened.answer(1)
  messages.end.say(Uint8Array.of(2, 0, 0))
  const ask = (): void => opened.links.at(-1)!.send(Uint8Array.of(7))
  const reply = (): void => messages.end.say(Uint8Array.of(1, 0, 0, 7))
  const pass = (seconds: number, each: (second: number) => void = () => undefined): void => {
    for (let second = 1; second <= seconds; second += 1) {
      each(second)
      control.end.say(new Uint8Array(encodeControl({ kind: 'pong' })))
      opened.clock.advance(1_000)
    }
  }
  return { ...opened, control, messages, ask, reply, pass }
}

test('a connection over which nothing is answered any more is given up, though the peer lives', async () => {
  const { calls, messages, warnings, ask, reply, pass } = await openLively()
  pass(60, () => {
    ask()
    reply()
  })
  expect(calls).toHaveLength(2)
  pass(9, ask)
  expect([messages.end.isClosed, warnings]).toEqual([false, []])
  pass(2, ask)
  expect(messages.end.isClosed).toBe(true)
  expect(calls).toHaveLength(3)
  expect(warnings).toEqual([
    expect.stringMatching(/^the node at far:1 lives, and answers nothing over the connection /),
  ])
})

test('one over which nothing is asked may be silent for ever, and one that is slow to answer is waited for', async () => {
  const { calls, messages, ask, reply, pass } = await openLively()
  pass(100)
  pass(100, (second) => {
    ask()
    if (second % 8 === 0) reply()
  })
  expect([messages.end.isClosed, calls.length]).toEqual([false, 2])
})

test('one that takes what it is sent, however slowly, is waited for', async () => {
  const { calls, messages, ask, pass } = await openLively()
  ask()
  pass(60, (second) => void (messages.end.backlogBytes = 60_000_000 - second * 500_000))
  expect([messages.end.isClosed, calls.length]).toEqual([false, 2])
  pass(12)
  expect(messages.end.isClosed).toBe(true)
})
