import { expect, test } from 'vitest'
import { FrameWriter } from '../../src/cluster/frame.ts'
import { outgoing, writeMessage } from '../../src/cluster/wire.ts'
import { deriveId, parseId } from '../../src/log/identity.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { DEFAULTS } from '../actor/harness.ts'
import { turn } from '../actor/simulated-bank.ts'
import { startSimulatedNode } from './simulated-node.ts'

test.each([
  ['of the version before', 1],
  ['that does not say its epoch', 2],
])('a command of a caller %s is looked for even where it calls it new', async (_, protocol) => {
  const node = await startSimulatedNode(new SimulatedDisk())
  const [late, again] = [node.worker.connect(protocol), node.worker.connect(protocol)]
  for (const link of [again, late]) {
    const frame = new FrameWriter()
    const command = { ...DEFAULTS, name: 'deposit', payload: outgoing({ amount: 5 }), deadline: 1e9 }
    const commandId = parseId(deriveId('late'))
    writeMessage(frame, { ...command, commandId, stream: 'account/1' }, { now: 0, protocol })
    link.send(frame.take())
    await turn()
  }
  expect(await node.account('1').query('balance')).toBe(5)
})
