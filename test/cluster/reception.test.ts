import { expect, test } from 'vitest'
import { decodeControl, encodeControl, type ControlMessage, type NodeMeasure } from '../../src/cluster/control.ts'
import type { Connection, Greeting } from '../../src/cluster/network.ts'
import { Reception } from '../../src/cluster/reception.ts'

/** A caller for control, and what it is told. */
function call(reception: Reception) {
  const told: ControlMessage[] = []
  const state = { isClosed: false }
  let receive: (frame: Uint8Array<ArrayBuffer>) => void = () => undefined
  const connection: Partial<Connection> = {
    peer: { purpose: 'control', role: 'client' } as Greeting,
    send: (frame) => void told.push(decodeControl(frame)),
    onFrame: (callback) => void (receive = callback),
    onClose: () => undefined,
    close: () => void (state.isClosed = true),
  }
  reception.accept(connection as Connection)
  return { told, state, say: (message: ControlMessage) => receive(Uint8Array.from(encodeControl(message))) }
}

function receptionThat(measure: () => Promise<NodeMeasure>) {
  const warnings: string[] = []
  const options = { serving: () => [], onHanded: () => undefined, onDrain: () => undefined }
  return { warnings, reception: new Reception({ ...options, measure, onWarning: (text) => warnings.push(text) }) }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('however often a caller asks how far the workers are, one measure is under way for it, and it is pinged meanwhile', async () => {
  const answer = Promise.withResolvers<NodeMeasure>()
  let measures = 0
  const { reception } = receptionThat(() => ((measures += 1), answer.promise))
  const { told, say } = call(reception)
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
  const { told, say, state } = call(reception)
  say({ kind: 'measure' })
  await turn()
  expect(state.isClosed).toBe(true)
  expect(told).toHaveLength(1)
  expect(warnings).toHaveLength(1)
})
