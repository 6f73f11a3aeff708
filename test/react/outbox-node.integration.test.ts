import { expect, onTestFinished, test } from 'vitest'
import {
  defineCluster,
  defineOutbox,
  isPenholdError,
  PublishRefused,
  redisStreamPublisher,
  startNode,
  webhookPublisher,
  type Node,
  type Outbox,
  type OutboxMessage,
  type Publish,
} from '../../src/index.ts'
import { Account } from '../account.ts'
import { SECRET, startWebhookServer } from '../platform/webhook-server.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { temporaryFolder } from '../temporary.ts'
import { untilRecorded } from './recorded.ts'

/** Once it is so: a machine may be busy. */
const eventually = <Value>(look: () => Value) => expect.poll(look, { timeout: 30_000 })

async function start(outboxes: readonly Outbox[], folder: string = temporaryFolder()): Promise<Node> {
  const config = defineCluster({
    name: 'publishing',
    aggregates: [Account],
    outboxes,
    dataDir: folder,
    shards: 4,
    workers: 'inline',
    onWarning: () => undefined,
  })
  const node = await startNode(config)
  onTestFinished(() => node.close())
  return node
}

const map = { MoneyDeposited: ({ data }: { readonly data: { amount: number } }) => ({ type: 'deposited', data }) }
const given = { name: 'deposits', startAt: 'beginning', from: [Account], map } as const

function place(): { readonly there: OutboxMessage[]; readonly publisher: Publish } {
  const there: OutboxMessage[] = []
  return { there, publisher: async (messages) => void there.push(...messages) }
}

async function deposit(node: Node, ids: readonly string[], times: number): Promise<void> {
  for (const id of ids) await node.ref(Account, id).ask('open', { owner: id })
  for (let i = 1; i <= times; i += 1) {
    await Promise.all(ids.map((id) => node.ref(Account, id).ask('deposit', { amount: i })))
  }
}

/** By stream, the amounts in the order in which they first came. */
function amountsOf(messages: readonly (OutboxMessage | string)[]): Record<string, number[]> {
  const amounts: Record<string, number[]> = {}
  const seen = new Set<string>()
  for (const message of messages) {
    const event = (typeof message === 'string' ? JSON.parse(message) : message.event) as OutboxMessage['event']
    if (seen.has(event.id)) continue
    seen.add(event.id)
    const of = (amounts[event.stream] ??= [])
    of.push((event.data as { amount: number }).amount)
  }
  return amounts
}

const three = { 'account/a': [1, 2, 3], 'account/b': [1, 2, 3], 'account/c': [1, 2, 3] }

test('a node publishes what is mapped, in order per aggregate, and goes on where it was', async () => {
  const folder = temporaryFolder()
  const { there, publisher } = place()
  const outbox = defineOutbox({ ...given, publisher })
  const first = await start([outbox], folder)
  await deposit(first, ['a', 'b', 'c'], 3)
  await eventually(() => amountsOf(there)).toEqual(three)
  await untilRecorded(first, 'outbox:deposits', ...Object.keys(three))
  await first.close()
  expect(there).toHaveLength(9)

  const second = await start([outbox], folder)
  await second.ref(Account, 'a').ask('deposit', { amount: 4 })
  await eventually(() => there.length).toBe(10)
  expect(amountsOf(there)['account/a']).toEqual([1, 2, 3, 4])
})

test('an outbox that starts now publishes what comes, and nothing of before', async () => {
  const folder = temporaryFolder()
  const before = await start([], folder)
  await deposit(before, ['a'], 3)
  await before.close()
  const { there, publisher } = place()
  const node = await start([defineOutbox({ ...given, startAt: 'now', publisher })], folder)
  await expect
    .poll(async () => (await node.status()).outboxes[0]?.lanes.every(({ place: at }) => at.position > 0))
    .toBe(true)
  await node.ref(Account, 'a').ask('deposit', { amount: 4 })
  await eventually(() => amountsOf(there)).toEqual({ 'account/a': [4] })
})

test('what store.publish appends is published, and what is only appended is not', async () => {
  const { there, publisher } = place()
  const outbox = defineOutbox({
    ...given,
    from: 'published',
    map: { Priced: ({ data }: { readonly data: unknown }) => ({ type: 'priced', data }) },
    publisher,
  })
  const node = await start([outbox])
  const priced = (amount: number) => [{ type: 'Priced', data: { amount } }]
  await node.store.append('catalogue/books', priced(1))
  const commandId = '018f4d5e-0000-7000-8000-000000000001'
  const options = { commandId, metadata: { correlationId: 'sale' }, expectedVersion: 1 }
  await node.store.publish('catalogue/books', priced(2), options)
  // Once, however often.
  await node.store.publish('catalogue/books', priced(2), options)
  await node.store.append('catalogue/books', priced(3))
  // What goes to an aggregate goes through its definition.
  await node.ref(Account, 'a').ask('open', { owner: 'a' })
  const refused = node.store.publish('account/a', [{ type: 'Priced', data: {} }])
  await expect(refused).rejects.toSatisfy((error) => isPenholdError(error))
  await node.store.publish('catalogue/books', priced(4))
  await eventually(() => amountsOf(there)).toEqual({ 'catalogue/books': [2, 4] })
  expect(there[0]!.event.correlationid).toBe('sale')
  const events = await Array.fromAsync(node.store.load('catalogue/books'))
  expect(events.map(({ metadata }) => metadata['$published'] ?? false)).toEqual([false, true, false, true])
  // It is Penhold's own to say.
  const forged = node.store.append('catalogue/books', priced(5), { metadata: { $published: true } })
  await expect(forged).rejects.toMatchObject({ code: 'BadPayload' })
  const commanded = node.ref(Account, 'a').ask('deposit', { amount: 1 }, { metadata: { $published: true } })
  await expect(commanded).rejects.toMatchObject({ code: 'BadPayload' })
})

test('while whoever takes messages is away, all wait; what it refuses is parked with the rest of its stream', async () => {
  const there: OutboxMessage[] = []
  let isAway = true
  const publisher: Publish = async (messages, { published }) => {
    if (isAway) throw new Error('away')
    for (const message of messages) {
      if (message.stream === 'account/b' && message.event.version === '3') throw new PublishRefused(message, 'never')
      there.push(message)
      published(message)
    }
  }
  const node = await start([defineOutbox({ ...given, retries: 1, publisher })])
  await deposit(node, ['a', 'b', 'c'], 3)
  await eventually(async () => (await node.status()).outboxes[0]?.trouble).toContain('away')
  isAway = false
  await eventually(async () => (await node.status()).outboxes[0]?.parkedStreams).toBe(1)
  await eventually(() => amountsOf(there)).toEqual({ ...three, 'account/b': [1] })
})

test.skipIf(!hasRedis)('to Redis, which is restarted meanwhile, nothing is lost', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const publisher = redisStreamPublisher({ redis: redis.url, stream: 'deposits', timeoutMs: 2_000 })
  const node = await start([defineOutbox({ ...given, publisher })])
  await deposit(node, ['a', 'b'], 1)
  const arrived = async (): Promise<readonly string[]> =>
    (await redis.admin.xrange('deposits', '-', '+')).map(([, fields]) => fields[5]!)
  await eventually(async () => (await arrived()).length).toBe(2)
  redis.pause()
  await deposit(node, ['c'], 3)
  redis.resume()
  await expect
    .poll(async () => amountsOf(await arrived()))
    .toEqual({
      'account/a': [1],
      'account/b': [1],
      'account/c': [1, 2, 3],
    })
})

test('to a webhook that fails now and then, nothing is lost, and each is signed', async () => {
  const server = await startWebhookServer()
  onTestFinished(() => server.stop())
  let requests = 0
  server.answer = () => ({ status: (requests += 1) % 3 === 0 ? 503 : 204 })
  const node = await start([
    defineOutbox({ ...given, publisher: webhookPublisher({ url: server.url, secret: SECRET }) }),
  ])
  await deposit(node, ['a', 'b', 'c'], 3)
  await eventually(() => amountsOf(server.taken)).toEqual(three)
  const keys = server.requests.map(({ headers }) => headers['idempotency-key'])
  expect(new Set(keys).size).toBe(9)
})

test('what runs outboxes is in the config, each by a name of its own', () => {
  const outbox = defineOutbox({ ...given, publisher: async () => undefined })
  const config = { name: 'x', aggregates: [Account], dataDir: 'd' }
  expect(() => defineCluster({ ...config, outboxes: [outbox, outbox] })).toThrow("two outboxes of the name 'deposits'")
  expect(() => defineCluster({ ...config, outboxes: [{}] as never })).toThrow(
    "cluster 'x': outboxes[0] is an object; give what defineOutbox returned",
  )
})
