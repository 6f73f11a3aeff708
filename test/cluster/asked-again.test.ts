import { expect, test } from 'vitest'
import { failed, unknownAggregate } from '../../src/actor/error.ts'
import type { Reply } from '../../src/actor/message.ts'
import { handlerStuck } from '../../src/cluster/error.ts'
import { FrameWriter } from '../../src/cluster/frame.ts'
import { createLinkPair } from '../../src/cluster/link.ts'
import { Router } from '../../src/cluster/router.ts'
import { outgoing, PROTOCOL_VERSION, readMessages, writeReply, type Unsent } from '../../src/cluster/wire.ts'
import { ownershipLost } from '../../src/log/error.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { command } from './unsent.ts'

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('whatever leaves an outcome unknown says by which id to ask again, as who gave none knows of none', async () => {
  const clock = new SimulatedClock()
  const router = new Router({ shards: 1, clock, underWayMax: 10, timeoutMs: 1000, onBadFrame: () => undefined })
  router.assign(0, 'worker')
  const [near, far] = createLinkPair(clock)
  const requests: number[] = []
  far.onFrame((frame) => {
    requests.push(...readMessages(frame, { now: 0, protocol: PROTOCOL_VERSION }).map(({ request }) => request))
  })
  router.attach('worker', near)
  const told: unknown[] = []
  const send = (message: Unsent): void => {
    const resolve = (reply: Reply): void => void told.push(reply.kind === 'failed' ? reply.failure : reply)
    router.send(0, message, { resolve, reject: (error) => void told.push(error) })
  }
  for (let i = 0; i < 4; i += 1) send(command())
  send({ kind: 'query', request: 0, epoch: 0, stream: 'account/1', name: 'balance', payload: outgoing(undefined) })
  await settled()
  const frame = new FrameWriter()
  writeReply(frame, requests[0]!, failed(ownershipLost(0)))
  writeReply(frame, requests[1]!, failed(unknownAggregate('account')))
  far.send(frame.take())
  await settled()
  router.fail(requests[2]!, handlerStuck('account/1', 'open', { kind: 'ended' }, 'unknown'))
  router.close()
  const commandId = '00000000-0000-0000-0000-000000000000'
  expect(told).toMatchObject([
    { code: 'OwnershipLost', outcome: 'unknown', details: { shard: 0, commandId } },
    { code: 'NotSupported', outcome: 'none' },
    { code: 'HandlerStuck', outcome: 'unknown', details: { stream: 'account/1', commandId } },
    { code: 'NodeClosed', outcome: 'unknown', details: { commandId } },
    { code: 'NodeClosed', outcome: 'unknown' },
  ])
  expect(told.filter((each) => JSON.stringify(each).includes(commandId))).toHaveLength(3)
})
