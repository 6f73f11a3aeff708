import { expect, test } from 'vitest'
import { Router } from '../../src/cluster/router.ts'
import { createLinkPair } from '../../src/cluster/link.ts'
import { outgoing, PROTOCOL_VERSION, readMessages, type Unsent } from '../../src/cluster/wire.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

function command(): Unsent {
  const identity = { commandId: sliceOf(new Uint8Array(16)), payloadHash: 0, isFresh: true, isAgain: false }
  const what = {
    kind: 'command',
    request: 0,
    epoch: 0,
    stream: 'account/1',
    name: 'open',
    payload: outgoing({}),
  } as const
  return { ...what, ...identity, expectedVersion: -1, deadline: 0, after: 0, metadata: undefined }
}

test('a command comes after all that its worker took over (I6), and still does when it is sent again', async () => {
  const clock = new SimulatedClock()
  const router = new Router({ shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined })
  router.assign(0, 'worker')
  const arrived: unknown[] = []
  const attach = (position: number): void => {
    const [near, far] = createLinkPair(clock)
    far.onFrame((frame) => arrived.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION })))
    router.observe(position)
    router.attach('worker', near)
  }
  const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
  attach(500)
  router.send(0, command(), { resolve: () => undefined, reject: () => undefined })
  await settled()
  router.detach('worker')
  attach(700)
  await settled()
  expect(arrived).toMatchObject([
    { after: 500, isAgain: false },
    { after: 500, isAgain: true },
  ])
})
