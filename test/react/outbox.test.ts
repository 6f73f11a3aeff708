import { expect, test } from 'vitest'
import {
  defineAggregate,
  defineOutbox,
  isPenholdError,
  PublishRefused,
  redisStreamPublisher,
  webhookPublisher,
  type OutboxMessage,
  type Publisher,
  type WebhookOptions,
} from '../../src/index.ts'
import { EventFailed } from '../../src/react/consumer.ts'
import { isOutbox } from '../../src/react/outbox.ts'
import { eventOf, OutboxWorld } from './outbox-world.ts'

const Account = defineAggregate({
  type: 'account',
  initialState: () => 0,
  events: {
    Deposited: (balance, { euros }: { euros: number }) => balance + euros,
    Audited: (balance, { by }: { by: string }) => (by === '' ? 0 : balance),
  },
  commands: {},
})

const toIntegration = ({ data }: { readonly data: unknown }) => ({ type: 'com.example.deposited', data })
const given = {
  name: 'payments',
  startAt: 'beginning',
  from: [Account],
  map: { Deposited: toIntegration },
  publisher: async () => undefined,
} as const

function webhook(more: Partial<WebhookOptions> = {}): Publisher {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  return webhookPublisher({ url: 'https://partner.example/hooks', secret, ...more })
}

function place(): {
  readonly there: OutboxMessage[]
  readonly publisher: (messages: readonly OutboxMessage[]) => Promise<void>
} {
  const there: OutboxMessage[] = []
  return { there, publisher: async (messages) => void there.push(...messages) }
}

const versions = (messages: readonly OutboxMessage[]) =>
  messages.map(({ stream, event }) => `${stream} ${event.version}`)

test('an event becomes a CloudEvent that says where it stands', async () => {
  const { there, publisher } = place()
  const map = {
    Deposited: ({ data }: { readonly data: { readonly euros: number } }) => ({
      type: 'com.example.deposited',
      data: { cents: data.euros * 100, at: new Date(0) },
      dataschema: 'https://example.com/deposited.json',
      extensions: { tenant: 'north', retained: true, grade: 3 },
    }),
  }
  const world = new OutboxWorld(defineOutbox({ ...given, map, source: '//bank/accounts', publisher }), [
    eventOf('account/anna', 1),
  ])
  expect(await world.step(10)).toBe('done')
  const [message] = there
  expect(message!.event).toEqual({
    specversion: '1.0',
    id: message!.id,
    source: '//bank/accounts',
    type: 'com.example.deposited',
    subject: 'account/anna',
    time: '2025-11-21T04:40:00.001Z',
    datacontenttype: 'application/json',
    dataschema: 'https://example.com/deposited.json',
    stream: 'account/anna',
    version: '1',
    position: '100',
    correlationid: 'sale-7',
    causationid: eventOf('account/anna', 1).id,
    tenant: 'north',
    retained: true,
    grade: 3,
    data: { cents: 100, at: new Date(0) },
  })
  expect(JSON.parse(message!.json)).toEqual({ ...message!.event, data: { cents: 100, at: '1970-01-01T00:00:00.000Z' } })
})

test('the id of a message is the same for event and outbox, and another for any other', async () => {
  const idsOf = async (name: string, ...events: readonly ReturnType<typeof eventOf>[]) => {
    const { there, publisher } = place()
    await new OutboxWorld(defineOutbox({ ...given, name, publisher }), events).step(10)
    return there.map(({ id }) => id)
  }
  const first = eventOf('account/anna', 1)
  // As recorded ids: they must stay what they are.
  expect(await idsOf('payments', first)).toEqual(['5f49e819-fada-51a6-b3f9-922eb6837cfb'])
  // Callers may give two events one id.
  const ids = [
    ...(await idsOf('payments', first, eventOf('account/ben', 1, { id: first.id }), eventOf('account/anna', 2))),
    ...(await idsOf('others', first)),
  ]
  expect(new Set(ids).size).toBe(4)
})

test('what is not mapped, or to nothing, stays inside', async () => {
  const { there, publisher } = place()
  const map = {
    Deposited: ({ version }: { version: number }) => (version % 2 === 0 ? undefined : { type: 'deposited' }),
  }
  const world = new OutboxWorld(defineOutbox({ ...given, map, publisher }), [
    eventOf('account/anna', 1),
    eventOf('account/anna', 2),
    eventOf('account/anna', 3, { type: 'Audited' }),
    eventOf('account/anna', 4, { type: 'toString' }),
    eventOf('branch/anna', 1),
    eventOf('account/anna', 5),
  ])
  expect(await world.step(10)).toBe('done')
  expect(versions(there)).toEqual(['account/anna 1', 'account/anna 5'])
})

test('an outbox of what is published takes what is marked, of any stream', () => {
  const { consumer } = new OutboxWorld(
    defineOutbox({ ...given, from: 'published', map: { Deposited: toIntegration } }),
    [],
  )
  const event = eventOf('anything/1', 1)
  expect(consumer.isWanted(event)).toBe(false)
  expect(consumer.isWanted({ ...event, metadata: { ...event.metadata, $published: true } })).toBe(true)
})

const unmappable: readonly [what: string, mapped: unknown, message: string][] = [
  ['throws', () => JSON.parse('{'), 'JSON'],
  ['returns a promise', async () => Promise.reject(new Error('late')), 'returned a promise'],
  ['returns a text', () => 'x', 'neither an integration event nor undefined'],
  ['has no type', () => ({ data: 1 }), 'type of an integration event'],
  ['has a part that is not known', () => ({ type: 'x', dat: 1 }), "has no 'dat'"],
  ['has bytes in its data', () => ({ type: 'x', data: { a: [new Uint8Array(2)] } }), 'data.a[0] is a Uint8Array'],
  ['has a Map in its data', () => ({ type: 'x', data: new Map() }), 'data is a Map'],
  ['has nothing in a list', () => ({ type: 'x', data: { a: [1, undefined] } }), 'data.a[1] is undefined'],
  // oxlint-disable-next-line no-sparse-arrays
  ['has a gap in a list', () => ({ type: 'x', data: [1, , 2] }), 'data[1] is undefined'],
  ['has no number in its data', () => ({ type: 'x', data: { n: NaN } }), 'data.n is NaN'],
  ['has a bigint in its data', () => ({ type: 'x', data: 1n }), 'data is a bigint'],
  ['has an extension of another name', () => ({ type: 'x', extensions: { Tenant: 'a' } }), "extension 'Tenant'"],
  ['has an extension that is taken', () => ({ type: 'x', extensions: { version: '1' } }), "extension 'version'"],
  ['has an extension that is too large', () => ({ type: 'x', extensions: { n: 2 ** 31 } }), "extension 'n'"],
  ['is too large', () => ({ type: 'x', data: 'x'.repeat(2_000) }), 'messageBytesMax is 2000'],
]

test.for(unmappable)('an event whose mapper %s fails alone, behind those before it', async ([, mapped, message]) => {
  const { there, publisher } = place()
  const map = {
    Deposited: (event: { version: number }) =>
      event.version === 2 ? (mapped as () => never)() : { type: 'deposited' },
  }
  const outbox = defineOutbox({ ...given, map, publisher, messageBytesMax: 2_000 })
  const world = new OutboxWorld(
    outbox,
    [1, 2, 3].map((version) => eventOf('account/anna', version)),
  )
  const { does } = world.consumer
  if (!('many' in does)) throw new Error('many')
  const signal = new AbortController().signal
  const failed = does.many(world.events, { shard: 0, signal, effects: undefined! })
  await expect(failed).rejects.toSatisfy((error) => error instanceof EventFailed && error.event === world.events[1])
  await expect(failed).rejects.toMatchObject({ cause: { message: expect.stringContaining(message) as string } })
  expect(versions(there)).toEqual(['account/anna 1'])
})

test('a refused message is its event’s failure, once all before it have arrived', async () => {
  const there: OutboxMessage[] = []
  // Refuses before it has sent what stands before.
  const publisher = async (messages: readonly OutboxMessage[]): Promise<void> => {
    const refused = messages.find(({ stream }) => stream === 'account/ben')
    if (refused !== undefined) throw new PublishRefused(refused, 'unknown account')
    there.push(...messages)
  }
  const events = ['anna', 'ben', 'carl', 'ben'].map((id, i) => eventOf(`account/${id}`, i < 3 ? 1 : 2))
  const world = new OutboxWorld(defineOutbox({ ...given, publisher }), events)
  expect(await world.step(10)).toBe('parked')
  expect(versions(there)).toEqual(['account/anna 1'])
  expect(await world.step(10)).toBe('done')
  expect(versions(there)).toEqual(['account/anna 1', 'account/carl 1'])
  expect(world.parked.map(({ stream, version }) => `${stream} ${version}`)).toEqual(['account/ben 1', 'account/ben 2'])
})

test('a publisher that refuses what it was not given is in trouble, and parks nothing', async () => {
  const { there, publisher } = place()
  await new OutboxWorld(defineOutbox({ ...given, name: 'x', publisher }), [eventOf('account/anna', 1)]).step(1)
  const refuses = async (): Promise<void> => {
    throw new PublishRefused(there[0]!, 'never')
  }
  const world = new OutboxWorld(defineOutbox({ ...given, publisher: refuses }), [eventOf('account/ben', 1)])
  expect(await world.step(1)).toBe('waits')
})

test('a definition says what is wrong with it', () => {
  const wrong: readonly [change: object, message: string][] = [
    [{ name: '-x' }, "an outbox's name is '-x'"],
    [{ startAt: undefined }, "it needs 'startAt'"],
    [{ startAt: 'begin' }, "startAt is 'begin'"],
    [{ startAt: -1 }, 'startAt is -1'],
    [{ mapp: {} }, "it has no 'mapp'; the nearest is 'map'"],
    [{ from: [] }, 'from names no aggregate'],
    [{ from: 'everything' }, "from is 'everything'"],
    [{ map: {} }, 'map has no handler'],
    [{ map: { Depositd: toIntegration } }, "no aggregate of from has an event 'Depositd'; the nearest is 'Deposited'"],
    [{ map: { Deposited: 1 } }, "'Deposited' of map is 1"],
    [{ publisher: {} }, 'publisher is an object'],
    [{ source: 'not a uri' }, "source is 'not a uri'"],
    [{ onFailure: 'skip' }, "onFailure is 'skip'"],
    [{ retries: -1 }, 'retries is -1'],
    [{ batchMax: 0 }, 'batchMax is 0'],
    [
      { handlerTimeoutMs: 29_999, publisher: { open: () => undefined, timeoutMs: 15_000 } },
      'its publisher waits for an answer for up to 15000 ms; give 30000 or more',
    ],
    [{ handlerTimeoutMs: 10_000, publisher: webhook() }, 'waits for an answer for up to 15000 ms'],
    [
      { handlerTimeoutMs: 10_000, publisher: redisStreamPublisher({ redis: 'redis://localhost', stream: 'x' }) },
      'waits for an answer for up to 10000 ms',
    ],
  ]
  for (const [change, message] of wrong) {
    const define = (): unknown => defineOutbox({ ...given, ...change } as never)
    expect(define, message).toThrow(message)
    expect(define, message).toThrow(expect.toSatisfy((error) => isPenholdError(error, 'BadDefinition')) as Error)
  }
  expect(isOutbox(defineOutbox(given))).toBe(true)
  defineOutbox({ ...given, handlerTimeoutMs: 10_000, publisher: webhook({ timeoutMs: 5_000 }) })
  expect(isOutbox({ ...given })).toBe(false)
})

test('mappers know their events by the types of the aggregates', () => {
  defineOutbox({
    ...given,
    map: {
      Deposited: ({ data }) => ({ type: 'deposited', data: data.euros.toFixed(2) }),
      // @ts-expect-error An audit has no euros.
      Audited: ({ data }) => ({ type: 'audited', data: data.euros }),
    },
  })
  // Of events without a definition one says it oneself.
  defineOutbox({
    ...given,
    from: 'published',
    map: {
      Priced: (event: { readonly data: { readonly cents: number } }) => ({ type: 'priced', data: event.data.cents }),
    },
  })
})
