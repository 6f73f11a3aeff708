/** A command as a router is given it. */
import { outgoing, type Unsent } from '../../src/cluster/wire.ts'
import { sliceOf } from '../../src/log/slice.ts'

export function command(payload: unknown = {}): Unsent {
  const identity = { commandId: sliceOf(new Uint8Array(16)), payloadHash: 0, isFresh: true, isAgain: false }
  const what = {
    kind: 'command',
    request: 0,
    epoch: 0,
    stream: 'account/1',
    name: 'open',
    payload: outgoing(payload),
  } as const
  return {
    ...what,
    ...identity,
    expectedVersion: -1,
    deadline: 0,
    after: 0,
    since: 0,
    sentIn: undefined,
    waitsForReactors: false,
    metadata: undefined,
  }
}
