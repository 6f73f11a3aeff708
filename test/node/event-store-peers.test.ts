import { expect, test } from 'vitest'
import type { Reply } from '../../src/actor/message.ts'
import type { RefHost } from '../../src/cluster/ref.ts'
import { IdSource } from '../../src/log/identity.ts'
import { EventStore } from '../../src/node/event-store.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

/** A store whose streams' owner answers everything with this. */
function storeAnswered(reply: Reply): EventStore {
  const host: RefHost = {
    ids: new IdSource(new SimulatedClock(), new SeededRandom(1)),
    commandBytesMax: 1_000,
    shardOf: () => 0,
    send: (_to, _message, outcome) => outcome.resolve(reply),
    observe: () => undefined,
    onTellFailed: () => undefined,
  }
  return new EventStore(host, [])
}

const page = { records: new Uint8Array(), marks: [], next: 1 }

test.each<[string, Reply]>([
  ['answers with no page', { kind: 'answered', value: { events: [] } }],
  ['answers with records that are none', { kind: 'answered', value: { ...page, records: new Uint8Array(8) } }],
  ['answers with marks that are none', { kind: 'answered', value: { ...page, marks: [1, 2, 3] } }],
])('an owner that %s is one of a version that knows no streams', async (_, reply) => {
  const store = storeAnswered(reply)
  const refused = { code: 'NotSupported', outcome: 'none', retryable: true }
  await expect(store.append('audit/1', [{ type: 'A' }])).rejects.toMatchObject(refused)
  await expect(store.load('audit/1').next()).rejects.toMatchObject(refused)
})
