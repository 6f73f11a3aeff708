import { expect, test } from 'vitest'
import { decodeControl, encodeControl, type ControlMessage } from '../../src/cluster/control.ts'
import type { Member } from '../../src/cluster/leases.ts'
import type { Connection, Greeting, Network } from '../../src/cluster/network.ts'
import { callProjection } from '../../src/node/ask-member.ts'

const MEMBER = { id: 'b', name: 'second', address: 'b:1' } as Member

/** A node that says what it is told to, and speaks a version with whoever calls. */
function node(protocol: number, answer: (said: ControlMessage, say: (message: ControlMessage) => void) => void) {
  const state = { heard: [] as ControlMessage[], isClosed: false }
  let receive: (frame: Uint8Array<ArrayBuffer>) => void = () => undefined
  const say = (message: ControlMessage): void => receive(Uint8Array.from(encodeControl(message)))
  const connection: Partial<Connection> = {
    peer: { member: 'b' } as Greeting,
    protocol,
    send(frame) {
      const said = decodeControl(frame)
      state.heard.push(said)
      queueMicrotask(() => answer(said, say))
    },
    onFrame: (callback) => void (receive = callback),
    onClose: () => undefined,
    close: () => void (state.isClosed = true),
  }
  const network = { connect: async () => connection } as unknown as Network
  const cluster = { clusterId: 'bank', shards: 8 }
  const call = (signal?: AbortSignal): Promise<unknown> => {
    const asked = { call: 'status', projection: 'balances', options: {} }
    return callProjection({ network, cluster, member: MEMBER }, asked, { ms: 50, isPatient: true, signal })
  }
  return { state, call }
}

const nothing = (): void => undefined

test('a call comes to what the node says, an error with code, outcome and details', async () => {
  const well = node(3, ({ kind }, say) => {
    if (kind === 'projection') say({ kind: 'projection-answer', request: 1, outcome: { value: { state: 'halted' } } })
  })
  expect(await well.call()).toEqual({ state: 'halted' })
  expect(well.state).toMatchObject({ heard: [{ call: 'status', projection: 'balances' }], isClosed: true })
  const failure = {
    code: 'ProjectionState',
    message: 'no',
    outcome: 'none',
    retryable: false,
    details: { a: 1 },
  } as const
  const ill = node(3, (_, say) => say({ kind: 'projection-answer', request: 1, outcome: { failure } }))
  await expect(ill.call()).rejects.toMatchObject({ name: 'PenholdError', ...failure })
})

test('nothing is asked of a node of the version before, which would take it for nonsense', async () => {
  const { state, call } = node(2, nothing)
  await expect(call()).rejects.toMatchObject({
    code: 'NotSupported',
    message: expect.stringContaining('second') as string,
  })
  expect(state).toEqual({ heard: [], isClosed: true })
})

test('a node that says nothing is given up, and so is a call that nobody wants any more', async () => {
  const silent = node(3, nothing)
  await expect(silent.call()).rejects.toMatchObject({ name: 'ConnectionError', kind: 'timeout' })
  const stop = new AbortController()
  const called = node(3, () => stop.abort('enough'))
  await expect(called.call(stop.signal)).rejects.toBe('enough')
  expect([silent.state.isClosed, called.state.isClosed]).toEqual([true, true])
})
