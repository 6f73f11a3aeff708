/** Messages that are never taken, though nobody says that they are refused: who takes them is not away for others. */
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineOutbox, PublishRefused, redisStreamPublisher, webhookPublisher, type Publish } from '../../src/index.ts'
import type { Publisher } from '../../src/react/publisher.ts'
import { AWAY_MS } from '../../src/react/handle-many.ts'
import { openOutbox } from '../../src/react/open-outbox.ts'
import type { OutboxSettings } from '../../src/react/outbox.ts'
import { SECRET, startWebhookServer } from '../platform/webhook-server.ts'
import { inTime } from '../in-time.ts'
import { hasRedis, startRedis } from '../redis-server.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const streams = ['a/0', 'a/3', 'a/6', 'a/9', 'a/10']

/** A lane of an outbox, with what of events the publisher is given: `stream/version`. */
function open(publisher: Publish | Publisher, settings: OutboxSettings = {}) {
  const outbox = defineOutbox({
    name: 'deposits',
    startAt: 'beginning',
    from: 'all',
    map: { Done: () => ({ type: 'done' }) },
    publisher,
    ...settings,
  })
  const bench = new LaneBench()
  const opened = openOutbox(outbox, bench.clock)
  onTestFinished(() => opened.close(() => undefined))
  const { does, retries, onFailure, handlerTimeoutMs } = opened.consumer
  const start = () => bench.open(does, { retries, onFailure, handlerTimeoutMs })
  return { bench, start, parked: () => bench.effects.record(SHARD).parked }
}

/** A place that never takes some, and nothing while it is away. */
class Place {
  readonly there: string[] = []
  readonly never = new Set<string>()
  readonly refused = new Set<string>()
  isAway = false
  calls = 0
  readonly #tells: boolean

  constructor(tells: boolean) {
    this.#tells = tells
  }

  readonly publish: Publish = async (messages, { published }) => {
    this.calls += 1
    for (const message of messages) {
      const id = `${message.stream}/${message.event.version}`
      if (this.isAway || this.never.has(id)) throw new Error(`500 at ${id}`)
      if (this.refused.has(id)) throw new PublishRefused(message, 'no')
      this.there.push(id)
      if (this.#tells) published(message)
    }
  }

  /** Without those that came again. */
  get first(): readonly string[] {
    return [...new Set(this.there)]
  }
}

describe.each([true, false])('a place that says one by one what has arrived: %s', (tells) => {
  test('a message that it never takes holds back its stream alone, and is parked at last', async () => {
    const place = new Place(tells)
    place.never.add('a/3/2')
    const { bench, start, parked } = open(place.publish)
    for (let i = 0; i < 60; i += 1) bench.add(...streams)
    start()
    // Of 300 messages 59 stand behind it.
    await bench.until(() => place.first.length === 241)
    expect(place.first).not.toContain('a/3/3')
    expect(parked()).toEqual({})
    bench.add('a/0')
    await bench.until(() => place.first.length === 242)
    await bench.pass(180_000)
    expect(parked()['a/3']).toMatchObject({ version: 2, failures: 1 })
    expect(parked()['a/3']!.reason).toContain('message 2 of a/3 is not taken, and others are: Error: 500 at a/3/2')
    for (const stream of streams) {
      const versions = place.first.filter((id) => id.startsWith(`${stream}/`)).map((id) => Number(id.split('/')[2]))
      expect(versions).toEqual(versions.toSorted((a, b) => a - b))
    }
    place.never.clear()
    await bench.operate('retry', { stream: 'a/3' })
    await bench.until(() => place.first.length === 301)
  })

  test('several that it never takes hold back a stream each, and no other waits until they are parked', async () => {
    const place = new Place(tells)
    for (const id of ['a/0/1', 'a/9/2', 'a/3/1']) place.never.add(id)
    const { bench, start, parked } = open(place.publish)
    bench.add('a/0', 'a/9', 'a/9', 'a/6', 'a/3', 'a/6')
    start()
    // Nothing else comes by which it could be told that others are taken.
    await bench.until(() => place.first.length === 3)
    expect(place.first.toSorted()).toEqual(['a/6/1', 'a/6/2', 'a/9/1'])
    expect(parked()).toEqual({})
  })

  test('a place that is away for long parks nothing, and is asked seldom', async () => {
    const place = new Place(tells)
    place.isAway = true
    const { bench, start, parked } = open(place.publish)
    bench.add(...streams, ...streams)
    start()
    await bench.pass(600_000)
    expect(parked()).toEqual({})
    // Two a time, every ten seconds.
    expect(place.calls).toBeLessThan(150)
    place.isAway = false
    await bench.until(() => place.first.length === 10)
    expect(place.first.toSorted()).toEqual(streams.flatMap((stream) => [`${stream}/1`, `${stream}/2`]).toSorted())
  })

  test('a message that is taken after a while is no later than that, and nothing of its stream is before it', async () => {
    const place = new Place(tells)
    place.never.add('a/0/1')
    const { bench, start, parked } = open(place.publish)
    bench.add(...streams, ...streams)
    start()
    await bench.pass(60_000)
    expect(place.first).toHaveLength(8)
    place.never.clear()
    await bench.pass(15_000)
    expect(place.first.slice(8)).toEqual(['a/0/1', 'a/0/2'])
    expect(parked()).toEqual({})
  })
})

test('an outbox that halts waits for such a message for ever, and the others go on', async () => {
  const place = new Place(true)
  place.never.add('a/0/1')
  const { bench, start, parked } = open(place.publish, { onFailure: 'halt' })
  bench.add(...streams)
  const lane = start()
  await bench.pass(600_000)
  expect(place.first).toHaveLength(4)
  expect(lane.condition).toBe('waiting')
  place.never.clear()
  await bench.pass(15_000)
  expect(place.first).toHaveLength(5)
  expect(parked()).toEqual({})
})

test('one that publishes each alone finds out as well, of several that are in the way', async () => {
  const place = new Place(true)
  for (const id of ['a/0/1', 'a/3/1']) place.never.add(id)
  const { bench, start } = open(place.publish, { batchMax: 1 })
  bench.add('a/0', ...streams)
  start()
  await bench.until(() => place.first.length === 3)
})

test('what is parked and tried again by hand, and still not taken while others are, is parked again', async () => {
  const place = new Place(true)
  place.never.add('a/0/1')
  const { bench, start, parked } = open(place.publish)
  bench.add(...streams)
  start()
  await bench.pass(180_000)
  expect(parked()['a/0']).toMatchObject({ failures: 1 })
  await bench.operate('retry', { stream: 'a/0' })
  bench.add('a/3')
  await bench.until(() => parked()['a/0']!.failures === 2)
  expect(AWAY_MS).toBe(150_000)
})

const plans = fc.record({
  events: fc.array(fc.nat(4), { minLength: 1, maxLength: 60 }),
  never: fc.array(fc.record({ stream: fc.nat(4), version: fc.integer({ min: 1, max: 6 }) }), { maxLength: 3 }),
  refused: fc.array(fc.record({ stream: fc.nat(4), version: fc.integer({ min: 1, max: 6 }) }), { maxLength: 2 }),
  away: fc.array(fc.record({ after: fc.nat(20_000), ms: fc.nat(60_000) }), { maxLength: 3 }),
  tells: fc.boolean(),
  batchMax: fc.constantFrom(1, 2, 7, 1_000),
})

test('whatever is never taken, refused or away, the others arrive in order, and nothing else is parked', async () => {
  await fc.assert(
    fc.asyncProperty(plans, async ({ events, never, refused, away, tells, batchMax }) => {
      const place = new Place(tells)
      const name = ({ stream, version }: { stream: number; version: number }) => `${streams[stream]}/${version}`
      for (const each of never) place.never.add(name(each))
      for (const each of refused) place.refused.add(name(each))
      const { bench, start, parked } = open(place.publish, { batchMax })
      const added = events.map((i) => bench.row.add('Done', streams[i]!).id)
      start()
      for (const { after, ms } of away) {
        await bench.pass(after)
        place.isAway = true
        await bench.pass(ms)
        place.isAway = false
      }
      const stuck = new Map<string, number>()
      for (const id of added) {
        const [kind, number, version] = id.split('/')
        const stream = `${kind}/${number}`
        if (!stuck.has(stream) && (place.never.has(id) || place.refused.has(id))) stuck.set(stream, Number(version))
      }
      const due = added.filter((id) => {
        const [kind, number, version] = id.split('/')
        return Number(version) < (stuck.get(`${kind}/${number}`) ?? Number.POSITIVE_INFINITY)
      })
      for (let i = 0; i < 600 && !due.every((id) => place.there.includes(id)); i += 1) await bench.pass(500)
      for (const stream of streams) {
        const mine = (id: string): boolean => id.startsWith(`${stream}/`)
        expect(place.first.filter(mine)).toEqual(due.filter(mine))
      }
      for (const stream of Object.keys(parked())) expect(stuck.has(stream)).toBe(true)
    }),
    { ...inTime(), numRuns: 300 },
  )
})

test('a webhook that always answers 500 to one message takes all others', async () => {
  const server = await startWebhookServer()
  onTestFinished(() => server.stop())
  server.answer = ({ body }) => ({ status: body.includes('"stream":"a/3","version":"1"') ? 500 : 204 })
  const { bench, start, parked } = open(webhookPublisher({ url: server.url, secret: SECRET, concurrency: 2 }))
  for (let i = 0; i < 4; i += 1) bench.add(...streams)
  start()
  const arrived = (): number => new Set(server.taken).size
  for (let i = 0; i < 2_000 && arrived() < 16; i += 1) {
    await bench.pass(50)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  expect(arrived()).toBe(16)
  expect(server.taken.join()).not.toContain('"stream":"a/3"')
  expect(parked()).toEqual({})
})

test.each([429, 503])(
  'a webhook that always answers %i to one message, and to be left alone, takes all others, and that one is parked',
  async (status) => {
    const server = await startWebhookServer()
    onTestFinished(() => server.stop())
    server.answer = ({ body }) =>
      body.includes('"stream":"a/0","version":"1"') ? { status, headers: { 'retry-after': '3600' } } : { status: 204 }
    const { bench, start, parked } = open(
      webhookPublisher({ url: server.url, secret: SECRET, concurrency: 2, retryAfterMsMax: 20 }),
    )
    for (let i = 0; i < 4; i += 1) bench.add(...streams)
    start()
    const arrived = (): number => new Set(server.taken).size
    const pass = async (until: () => boolean): Promise<void> => {
      for (let i = 0; i < 5_000 && !until(); i += 1) {
        await bench.pass(50)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    await pass(() => arrived() === 16)
    expect(arrived()).toBe(16)
    bench.add('a/3', 'a/6')
    await pass(() => arrived() === 18)
    expect(arrived()).toBe(18)
    await pass(() => parked()['a/0'] !== undefined)
    expect(parked()['a/0']!.reason).toContain(`answered ${status}`)
    expect(server.taken.join()).not.toContain('"stream":"a/0"')
  },
)

test('one that asks for the place to be left alone is told apart after the place was away for all', async () => {
  const server = await startWebhookServer()
  onTestFinished(() => server.stop())
  server.answer = () => ({ status: 500 })
  const { bench, start } = open(
    webhookPublisher({ url: server.url, secret: SECRET, concurrency: 1, retryAfterMsMax: 20 }),
  )
  bench.add('a/0', 'a/3')
  start()
  const pass = async (until: () => boolean): Promise<void> => {
    for (let i = 0; i < 3_000 && !until(); i += 1) {
      await bench.pass(50)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  await pass(() => server.requests.length >= 12)
  server.answer = ({ body }) =>
    body.includes('"stream":"a/0"') ? { status: 503, headers: { 'retry-after': '3600' } } : { status: 204 }
  await pass(() => server.taken.length > 0)
  expect(server.taken).toHaveLength(1)
})

test('one that is refused holds back no other stream either, where another asks for the place to be left alone', async () => {
  const server = await startWebhookServer()
  onTestFinished(() => server.stop())
  server.answer = ({ body }) => {
    if (body.includes('"stream":"a/0","version":"1"')) return { status: 503, headers: { 'retry-after': '3600' } }
    return { status: body.includes('"stream":"a/3","version":"2"') ? 422 : 204 }
  }
  const { bench, start, parked } = open(
    webhookPublisher({ url: server.url, secret: SECRET, concurrency: 1, retryAfterMsMax: 300 }),
    { onFailure: 'halt' },
  )
  for (let i = 0; i < 4; i += 1) bench.add(...streams)
  start()
  const arrived = (): number => new Set(server.taken).size
  for (let i = 0; i < 5_000 && arrived() < 13; i += 1) {
    await bench.pass(50)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  expect(arrived()).toBe(13)
  expect(parked()).toEqual({})
})

test.skipIf(!hasRedis)('a key of Redis’ that is no stream holds back what goes there alone', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  await redis.admin.set('to-3', 'no stream')
  const stream = ({ stream: of }: { readonly stream: string }): string => `to-${of.slice(2)}`
  const { bench, start, parked } = open(redisStreamPublisher({ redis: redis.url, stream }))
  for (let i = 0; i < 4; i += 1) bench.add(...streams)
  start()
  const arrived = async (): Promise<number> => {
    const lengths = ['to-0', 'to-6', 'to-9', 'to-10'].map((key) => redis.admin.xlen(key))
    return (await Promise.all(lengths)).reduce((sum, length) => sum + length, 0)
  }
  for (let i = 0; i < 2_000 && (await arrived()) < 16; i += 1) await bench.pass(50)
  expect(await arrived()).toBe(16)
  for (let i = 0; i < 2_000 && parked()['a/3'] === undefined; i += 1) {
    if (i % 20 === 0) bench.add('a/0')
    await bench.pass(200)
    await redis.admin.ping()
  }
  expect(parked()['a/3']!.reason).toContain('WRONGTYPE')
})
