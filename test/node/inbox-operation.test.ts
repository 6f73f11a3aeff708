import { expect, test } from 'vitest'
import type { ProjectionCall } from '../../src/cluster/projection-call.ts'
import { defineInbox } from '../../src/index.ts'
import { IdSource } from '../../src/log/identity.ts'
import { Inboxes } from '../../src/node/inboxes.ts'
import { isOfInboxes, operateInboxes } from '../../src/node/inbox-operation.ts'
import type { ShardEffects } from '../../src/react/effects.ts'
import { InboxRecord, type InboxState } from '../../src/react/inbox-record.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { Account } from '../account.ts'

/** A record with one parked message, at a node that does not run the inbox. */
function bench() {
  const parked = {
    id: '7-0',
    stream: undefined,
    reason: 'it fails',
    at: 5,
    isAsked: false,
    after: 3,
    fields: '{"__proto__":"x"}',
  }
  const state: InboxState = { ...(InboxRecord.initialState() as InboxState), parked: [parked] }
  const asked: string[] = []
  const queries = InboxRecord.queries as unknown as Record<string, (of: InboxState, argument: unknown) => unknown>
  const effects = {
    query: async ({ name, argument }: { name: string; argument: unknown }) => queries[name]!(state, argument),
    ask: async ({ name }: { name: string }) => {
      asked.push(name)
      return { kind: 'accepted', version: 1, position: 1 }
    },
  }
  const clock = new SimulatedClock()
  const inboxes = new Inboxes({
    inboxes: [
      defineInbox({
        name: 'payments',
        startAt: 'now',
        to: [Account],
        source: { name: 'row', open: () => expect.fail('nobody runs it here') },
        map: () => undefined,
      }),
    ],
    effects: effects as unknown as ShardEffects,
    ids: new IdSource(clock, new SeededRandom(1)),
    clock,
    shardOf: () => 0,
    shardsHere: () => new Map(),
    onWarning: () => undefined,
  })
  const call = (name: string, options: ProjectionCall['options'] = {}, projection = 'payments') =>
    operateInboxes(inboxes, { request: 1, call: `inbox.${name}`, projection, options })
  return { call, asked }
}

test('what is asked of an inbox from outside is answered with plain data', async () => {
  const { call, asked } = bench()
  const told = { id: '7-0', stream: '', reason: 'it fails', at: 5, isAsked: false }
  // Those that run here.
  expect(await call('list')).toEqual([])
  expect(await call('parked')).toEqual([told])
  expect(await call('message', { id: '7-0' })).toEqual({ ...told, fields: [['__proto__', 'x']] })
  expect(await call('retry', { id: '7-0' })).toEqual({ failed: { id: '7-0', reason: 'it fails' } })
  await call('skip', { id: '7-0', reason: 'by mistake' })
  expect(asked).toEqual(['retry', 'skip'])
  expect(isOfInboxes({ request: 1, call: 'inbox.list', projection: '', options: {} })).toBe(true)
  expect(isOfInboxes({ request: 1, call: 'reactor.list', projection: '', options: {} })).toBe(false)
})

test('what is not asked as it should be fails with what to do, and does nothing', async () => {
  const { call, asked } = bench()
  const wrong: readonly [Promise<unknown>, code: string, words: string][] = [
    [call('retry', { id: 5 }), 'BadPayload', 'id is no text'],
    [call('message', {}), 'BadPayload', 'id is no text'],
    [call('skip', { id: '7-0' }), 'BadPayload', 'reason is no text'],
    [call('retry', { id: '8-0' }), 'MessageNotParked', 'penhold parked list inbox:payments'],
    [call('message', { id: '8-0' }), 'MessageNotParked', 'no parked message 8-0'],
    [call('parked', {}, 'payment'), 'BadDefinition', "the nearest is 'payments'"],
    [call('constructor'), 'ReactorState', "knows no 'constructor' of inbox payments; upgrade it"],
  ]
  for (const [asking, code, words] of wrong) {
    await expect(asking, words).rejects.toMatchObject({ code, message: expect.stringContaining(words) as string })
  }
  expect(asked).toEqual([])
})
