import { expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { decodeControl, encodeControl, type ControlMessage, type NodeMeasure } from '../../src/cluster/control.ts'
import { createLinkPair, type Link } from '../../src/cluster/link.ts'
import type { Connection, Greeting } from '../../src/cluster/network.ts'
import { Reception, PROJECTION_CALLS_MAX, type ReceptionOptions } from '../../src/cluster/reception.ts'
import { Kernel } from '../../src/testing/kernel.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedNetwork } from '../../src/testing/simulated-network.ts'
import { SimulatedThread } from '../../src/testing/simulated-thread.ts'
import { turn } from '../actor/simulated-bank.ts'
import { FAR, NEAR } from './network-ends.ts'

const DATA = 1
const LARGE = 'x'.repeat(15 * 1024 * 1024)
const WORKER = 3
const noReading = (): never => expect.fail()

/** A reception with one worker, and callers of it over a slow network. */
async function open() {
  const kernel = new Kernel()
  const network = new SimulatedNetwork(kernel, new SeededRandom(1), 5)
  const threads = { wallMs: 0, rate: 1 }
  const far = new SimulatedThread(kernel, threads)
  const near = network.host('near', new SimulatedThread(kernel, threads))
  const taken: number[] = []
  const links: { protocol: number; link: Link }[] = []
  const nothing = (): void => undefined
  const measure = async (): Promise<NodeMeasure> => ({ workers: [], shards: [] })
  const reception = new Reception({
    serving: () => [],
    shares: () => true,
    onHanded: nothing,
    onDrain: nothing,
    measure,
    tail: async () => undefined,
    callProjection: async () => undefined,
    openReading: noReading,
    clock: new SimulatedClock(),
    onWarning: nothing,
  })
  const clock = new SimulatedClock()
  reception.set(WORKER, {
    connect(protocol) {
      const [link, worker] = createLinkPair(clock)
      links.push({ protocol, link })
      worker.onFrame(([number]) => void taken.push(number!))
      return link
    },
  })
  const accept = (connection: Connection): void => reception.accept(connection)
  await network.host('far', far).listen('far:1', () => ({ ...FAR, protocol: 2 }), accept)
  const pass = async (ms: number): Promise<void> => {
    await kernel.run({ untilMs: kernel.now + ms })
    await turn()
  }
  const call = async (greeting: Partial<Greeting> = {}): Promise<Connection> => {
    const calling = near.connect('far:1', { ...NEAR, purpose: 'messages', ...greeting }, { timeoutMs: 1_000 })
    await pass(50)
    const connection = await calling
    connection.onFrame(nothing)
    return connection
  }
  const send = (connection: Connection, number: number): void => connection.send(Uint8Array.of(DATA, WORKER, 0, number))
  return { network, links, taken, pass, call, send }
}

test('of a caller that calls again for messages nothing is read that it sent before', async () => {
  const { network, taken, pass, call, send } = await open()
  const older = await call()
  const other = await call({ member: FAR.member })
  send(older, 1)
  await pass(50)
  network.delay({ from: 'near', to: 'far' }, 500)
  send(older, 2)
  send(other, 3)
  network.delay({ from: 'near', to: 'far' }, 0)
  const ends: string[] = []
  older.onClose(({ kind }) => ends.push(kind))
  const newer = await call()
  send(newer, 4)
  await pass(1_000)
  expect(taken).toEqual([1, 4, 3])
  expect(ends).toEqual(['closed'])
  send(newer, 5)
  await pass(50)
  expect(taken).toEqual([1, 4, 3, 5])
})

test('what is for a worker is written in the version that both ends speak', async () => {
  const { links, call } = await open()
  await call({ protocol: 1 })
  await call({ protocol: 2 })
  await call({ protocol: 3 })
  expect(links.map(({ protocol }) => protocol)).toEqual([1, 2, 2])
})

/** A caller for control, and what it is told. */
function callForControl(reception: Reception, greeting: Partial<Greeting> = { role: 'client' }) {
  const told: ControlMessage[] = []
  const state = { isClosed: false }
  let receive: (frame: Uint8Array<ArrayBuffer>) => void = () => undefined
  const connection: Partial<Connection> = {
    peer: { purpose: 'control', ...greeting } as Greeting,
    protocol: 2,
    send: (frame) => void told.push(decodeControl(frame)),
    onFrame: (callback) => void (receive = callback),
    onClose: () => undefined,
    close: () => void (state.isClosed = true),
  }
  reception.accept(connection as Connection)
  return { told, state, say: (message: ControlMessage) => receive(Uint8Array.from(encodeControl(message))) }
}

function receptionThat(
  measure: () => Promise<NodeMeasure>,
  shares = (_member: string): boolean => true,
  callProjection: ReceptionOptions['callProjection'] = async () => undefined,
) {
  const warnings: string[] = []
  const options = { serving: () => [], shares, onHanded: () => undefined, onDrain: () => undefined }
  const tail = async (): Promise<undefined> => undefined
  const reading = { openReading: noReading, clock: new SimulatedClock() }
  const onWarning = (text: string): void => void warnings.push(text)
  return {
    warnings,
    reception: new Reception({ ...options, measure, tail, callProjection, ...reading, onWarning }),
  }
}

test('however often a caller asks how far the workers are, one measure is under way for it, and it is pinged meanwhile', async () => {
  const answer = Promise.withResolvers<NodeMeasure>()
  let measures = 0
  const { reception } = receptionThat(() => ((measures += 1), answer.promise))
  const { told, say } = callForControl(reception)
  for (let i = 0; i < 100; i += 1) say({ kind: 'measure' })
  say({ kind: 'ping' })
  expect(measures).toBe(1)
  answer.resolve({ workers: [], shards: [] })
  await turn()
  expect(told.map(({ kind }) => kind)).toEqual(['serving', 'pong', 'measured'])
  say({ kind: 'measure' })
  await turn()
  expect(measures).toBe(2)
  expect(told).toHaveLength(4)
})

test('a measure that fails ends that connection, and nothing else', async () => {
  const { reception, warnings } = receptionThat(async () => {
    throw new Error('no')
  })
  const { told, say, state } = callForControl(reception)
  say({ kind: 'measure' })
  await turn()
  expect(state.isClosed).toBe(true)
  expect(told).toHaveLength(1)
  expect(warnings).toHaveLength(1)
})

test('a node that works on a copy of the data is told so first; where that cannot be seen, it is let in with a warning', async () => {
  const measure = async (): Promise<NodeMeasure> => ({ workers: [], shards: [] })
  const told = (reception: Reception, role: Greeting['role'] = 'node'): string[] =>
    callForControl(reception, { role, member: 'b' }).told.map(({ kind }) => kind)
  const onCopy = receptionThat(measure, (member) => member !== 'b')
  expect(told(onCopy.reception)).toEqual(['other-data', 'serving'])
  expect(told(onCopy.reception, 'client')).toEqual(['serving'])
  expect(onCopy.warnings).toHaveLength(1)
  const blind = receptionThat(measure, () => {
    throw new Error('EIO')
  })
  expect(told(blind.reception)).toEqual(['serving'])
  expect(blind.warnings).toEqual([expect.stringContaining('EIO')])
})

test('each call of a projection is answered, with what it came to or why it failed, and a caller has only so many', async () => {
  const rebuilding = Promise.withResolvers<unknown>()
  const details = { stream: 'a/1' }
  const refused = new PenholdError('ProjectionState', 'not now', { outcome: 'none', retryable: false, details })
  const { reception } = receptionThat(
    async () => ({ workers: [], shards: [] }),
    () => true,
    ({ call }) =>
      call === 'refused' ? Promise.reject(refused) : call === 'large' ? Promise.resolve(LARGE) : rebuilding.promise,
  )
  const { told, say } = callForControl(reception)
  const call = { kind: 'projection', projection: 'balances', options: {} } as const
  for (let request = 0; request < PROJECTION_CALLS_MAX; request += 1) say({ ...call, request, call: 'rebuild' })
  say({ ...call, request: 100, call: 'refused' })
  await turn()
  expect(told.slice(1)).toMatchObject([
    { request: 100, outcome: { failure: { code: 'MailboxFull', outcome: 'none' } } },
  ])
  rebuilding.resolve({ generation: 2 })
  await turn()
  expect(told.slice(2)).toEqual(
    Array.from({ length: PROJECTION_CALLS_MAX }, (_, request) => {
      return { kind: 'projection-answer', request, outcome: { value: { generation: 2 } } }
    }),
  )
  say({ ...call, request: 101, call: 'refused' })
  say({ ...call, request: 102, call: 'large' })
  await turn()
  const { code, message, outcome, retryable } = refused
  expect(told.at(-2)).toMatchObject({
    request: 101,
    outcome: { failure: { code, message, outcome, retryable, details } },
  })
  expect(told.at(-1)).toMatchObject({ request: 102, outcome: { failure: { code: 'TooLarge', outcome: 'unknown' } } })
})
