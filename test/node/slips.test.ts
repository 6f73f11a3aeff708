/** Slips that users make, and what they are told: what is wrong, and what to do. */
import { describe, expect, test } from 'vitest'
import {
  defineAggregate,
  defineCluster,
  defineInbox,
  defineOutbox,
  defineProcess,
  defineProjection,
  defineReactor,
  defineSchedule,
  memoryStore,
  postgresStore,
  redisStore,
  redisStreamSource,
  sqliteStore,
  webhookPublisher,
} from '../../src/index.ts'

/** As a program has it that no compiler has seen. */
type Untyped = (given?: unknown) => unknown
type Slip = readonly [what: string, given: () => unknown, told: string]

const order = {
  type: 'order',
  initialState: () => 0,
  events: { Placed: (count: number) => count + 1 },
  commands: { place: () => undefined },
} as const
const Order = defineAggregate(order)
const Other = defineAggregate({ ...order, type: 'other' })
const cluster = { name: 'shop', aggregates: [Order], dataDir: 'data' } as const
const on = { Placed: () => undefined }
const reactor = { name: 'mails', from: [Order], startAt: 'now', on } as const
const process = {
  type: 'fulfilment',
  from: [Order],
  to: [Order],
  startAt: 'now',
  correlate: { Placed: () => 'key' },
  initialState: () => 0,
  on,
} as const
const projection = { name: 'sums', from: [Order], on, store: memoryStore(() => ({ sums: new Map() })) } as const
const outbox = { name: 'out', from: [Order], startAt: 'now', map: on, publisher: async () => undefined } as const
const source = redisStreamSource({ redis: 'redis://host', stream: 's' })
const inbox = { name: 'payments', startAt: 'now', source, to: [Order], map: () => undefined } as const
const schedule = {
  name: 'nightly',
  cron: '0 3 * * *',
  missed: 'once',
  aggregate: Order,
  id: '1',
  command: 'place',
} as const

const IMPORT = 'Where it is undefined, look at its import: two files that import each other see it too early.'

/** Calls one with what is good but for some of it. */
const slipOf =
  (define: unknown, good: object) =>
  (changes: object, told: string): Slip => [
    JSON.stringify(changes, (_key, value: unknown) => (value === undefined ? 'undefined' : value)),
    () => (define as Untyped)({ ...good, ...changes }),
    told,
  ]

const aggregates = slipOf(defineAggregate, order)
const clusters = slipOf(defineCluster, cluster)
const reactors = slipOf(defineReactor, reactor)
const processes = slipOf(defineProcess, process)
const projections = slipOf(defineProjection, projection)
const outboxes = slipOf(defineOutbox, outbox)
const inboxes = slipOf(defineInbox, inbox)
const schedules = slipOf(defineSchedule, schedule)

const WAITS = 'async, or a generator'

describe.each<readonly [string, readonly Slip[]]>([
  [
    'defineAggregate',
    [
      aggregates({ type: undefined }, "an aggregate needs 'type'"),
      aggregates({ name: 'order' }, "order: an aggregate has no 'name'; the nearest is 'type'"),
      aggregates({ initialState: {} }, 'order: initialState is an object; give a function that returns it'),
      aggregates({ initialState: async () => 0 }, `order: initialState is ${WAITS}`),
      aggregates({ events: { Placed: null } }, "order: 'Placed' of events is null; give a function"),
      aggregates({ events: { Placed: async () => 0 } }, `order: 'Placed' of events is ${WAITS}`),
      aggregates({ commands: { place: async () => undefined } }, `order: 'place' of commands is ${WAITS}`),
      aggregates({ commands: { *place() {} } }, `order: 'place' of commands is ${WAITS}`),
      aggregates({ queries: { sum: async () => 0 } }, `order: 'sum' of queries is ${WAITS}`),
      aggregates({ schemas: { place: {} } }, "'place' of schemas is an object; give a Standard Schema, as of zod"),
      aggregates(
        { schemas: { plce: { '~standard': { validate: () => ({ value: 1 }) } } } },
        "the schema 'plce' belongs to no command and no event; the nearest is 'place'",
      ),
      aggregates({ upcasters: { Placed: () => 1 } }, "'Placed' of upcasters is a function; give a list of synchronous"),
      aggregates({ upcasters: { Placed: [async () => 1] } }, "'Placed' of upcasters is a list; give a list of"),
      aggregates({ upcasters: { Place: [] } }, "upcasters of 'Place' belong to no event; the nearest is 'Placed'"),
      aggregates({ renamedEvents: { Old: 'Place' } }, "'Place', which is no event; the nearest is 'Placed'"),
      aggregates({ renamedEvents: { Old: 5 } }, "'Old' of renamedEvents is 5; give the name that the event has today"),
      aggregates({ renamedEvents: { Placed: 'Placed' } }, 'take it out of events, or out of renamedEvents'),
    ],
  ],
  [
    'defineCluster',
    [
      clusters({ aggregates: Order }, 'aggregates is an object; give a list of what defineAggregate returned'),
      clusters(
        { aggregates: [undefined] },
        `aggregates[0] is undefined; give what defineAggregate returned. ${IMPORT}`,
      ),
      clusters({ aggregates: [Promise.resolve(Order)] }, 'aggregates[0] is a promise; give what defineAggregate'),
      clusters({ reactors: [reactor] }, 'reactors[0] is an object; give what defineReactor returned'),
      clusters({ reactors: [undefined] }, `reactors[0] is undefined; give what defineReactor returned. ${IMPORT}`),
      clusters({ schedules: {} }, 'schedules is an object; give a list of what defineSchedule returned'),
      clusters(
        { aggregates: [Order, Order] },
        "two aggregates of the type 'order'; give one of them another, or take it out",
      ),
      clusters({ dataDir: undefined }, "dataDir is undefined; give the path of a folder, as './data'"),
      clusters({ timeout: {} }, "there is no setting 'timeout'; the nearest is 'timeouts'"),
      clusters({ timeouts: { askMS: 1 } }, "there is no setting 'timeouts.askMS'; the nearest is 'timeouts.askMs'"),
      clusters({ network: { port: 1 } }, "no setting 'network.port'; there are network.listen, network.advertise"),
      clusters({ health: { port: 1 } }, "there is no setting 'health.port'; there is health.listen"),
      clusters({ workers: 'auto' }, "workers is 'auto'; give a whole number from 1 to 256, or 'inline'"),
      clusters({ redis: 'localhost:6379' }, 'the url does not begin with redis://; give redis://[user:password@]host'),
      clusters({ redis: { host: 'localhost' } }, 'it does not say where Redis is. Give a URL, or { url }'),
      clusters({ redis: { url: undefined } }, 'redis: its url is undefined, as of a variable that is not set. Give a'),
      clusters({ redis: new URL('redis://localhost') }, 'redis: it is an object of URL, where its text is wanted'),
      clusters({ redis: { url: 'redis://a', pasword: 'x' } }, "no setting 'pasword' beside url; the nearest is"),
      clusters({ network: { tls: true } }, 'network.tls: it is true; give { ca, cert, key, peerName }'),
      clusters({ network: { tls: { ca: 'x' } } }, "network.tls: it needs 'cert'; give { ca, cert, key, peerName }"),
      clusters(
        { network: { tls: { ca: 'x', cert: 'x', key: 'x', peerName: 'x', peername: 'x' } } },
        "no setting 'network.tls.peername'; the nearest is 'network.tls.peerName'",
      ),
      clusters({ nodeName: 5 }, "the cluster's nodeName is 5; give a text"),
    ],
  ],
  [
    'the aggregates that a cluster needs',
    [
      { reactors: [defineReactor({ ...reactor, from: [Order, Other] })] },
      { projections: [defineProjection({ ...projection, from: [Other] })] },
      { outboxes: [defineOutbox({ ...outbox, from: [Other] } as never)] },
      { inboxes: [defineInbox({ ...inbox, to: [Other] })] },
      { processes: [defineProcess({ ...process, from: [Other] })] },
      { processes: [defineProcess({ ...process, to: [Other] })] },
      { schedules: [defineSchedule({ ...schedule, aggregate: Other })] },
    ].map((list) =>
      clusters(list, "names the aggregate 'other', which is none of the cluster's; add it to aggregates"),
    ),
  ],
  [
    'defineReactor, defineProjection',
    [
      reactors({ from: [undefined] }, `from has undefined in it; give what defineAggregate returned. ${IMPORT}`),
      reactors({ from: undefined }, `reactor 'mails': it needs 'from'. ${IMPORT}`),
      reactors({ startAt: new Date() }, "startAt is a date; give 'now', 'beginning' or a position"),
      reactors({ on: {} }, 'nothing would ever come of it; give a function for an event'),
      projections(
        { store: 'sums.sqlite' },
        "store is 'sums.sqlite'; give a store of read models, as sqliteStore({ … })",
      ),
      projections({ store: sqliteStore }, 'store is a function; give a store of read models, as sqliteStore({ … })'),
      projections({ startAt: 'now' }, "it has no 'startAt'; there are name, from, on, store"),
    ],
  ],
  [
    'defineProcess',
    [
      processes({ on: { Placed: async () => undefined } }, `process 'fulfilment': 'Placed' of on is ${WAITS}`),
      processes({ correlate: { Placed: async () => 'key' } }, `'Placed' of correlate is ${WAITS}`),
      processes({ initialState: async () => 0 }, `initialState is ${WAITS}`),
      processes(
        { correlate: {} },
        'correlate names no event, so that it would be told nothing; give a function for each',
      ),
      processes({ timers: ['due day'] }, "process 'fulfilment': a timer's name is 'due day'; use 1 to 64"),
      processes({ to: [undefined] }, `to has undefined in it; give what defineAggregate returned. ${IMPORT}`),
      processes(
        { snapshotEvery: 'never' },
        "snapshotEvery is 'never'; give a whole number from 1 to 1000000, or false",
      ),
      processes(
        { on: { due: () => 1 } },
        "'due' of on is no event of from, timer, or command of to (type/command); there are",
      ),
    ],
  ],
  [
    'defineOutbox, defineInbox, defineSchedule',
    [
      outboxes({ from: 'publish' }, "from is 'publish'; give a list of aggregates, 'all' or 'published'"),
      outboxes({ publisher: 'https://host' }, 'give a publisher, as webhookPublisher({ … }) returns, or a function'),
      outboxes({ source: 'my shop' }, "source is 'my shop'; give a URI, as 'urn:shop'"),
      outboxes({ map: { Placed: async () => undefined } }, `outbox 'out': 'Placed' of map is ${WAITS}`),
      inboxes({ source: 'redis://host' }, 'give a source of messages, as redisStreamSource({ … }) returns'),
      inboxes({ map: async () => undefined }, `inbox 'payments': map is ${WAITS}`),
      schedules({ command: () => 'place' }, 'command is a function; give the name of one of order'),
      schedules({ command: 'plce' }, "it is to send 'plce', and order has no such command; the nearest is 'place'"),
      schedules({ id: 5 }, "schedule 'nightly' cannot send its command: it is to send a command to nobody"),
      schedules(
        { cron: '@every' },
        "give five fields, as '0 3 * * *', or six with seconds first, or @daily and its like",
      ),
      schedules({ payload: async () => 1 }, `payload is ${WAITS}; what needs waiting for belongs into a reactor`),
    ],
  ],
  [
    'stores and publishers',
    [
      ['sqliteStore()', sqliteStore as Untyped, 'sqliteStore: its options are an object, not undefined'],
      ['a path', () => (sqliteStore as Untyped)('sums'), "sqliteStore: its options are an object, not 'sums'"],
      [
        'a file',
        () => (sqliteStore as Untyped)({ file: 'sums' }),
        "sqliteStore: it has no 'file'; there are path, setup",
      ],
      ['no setup', () => (sqliteStore as Untyped)({ path: 'sums' }), "sqliteStore: it needs 'setup'"],
      ['redisStore()', redisStore as Untyped, 'redisStore: its options are an object, not undefined'],
      ['no scheme', () => (redisStore as Untyped)({ redis: 'host:1' }), 'does not begin with redis://; give redis://'],
      ['postgresStore()', postgresStore as Untyped, 'postgresStore: its options are an object, not undefined'],
      [
        'no text',
        () => (postgresStore as Untyped)({ connection: 5, setup: on }),
        'connection is 5; give a URL, as postgres:',
      ],
      [
        'a map',
        () => (memoryStore as Untyped)({ sums: new Map() }),
        'memoryStore was given an object; give a function',
      ],
      ['no url', () => (webhookPublisher as Untyped)({ url: 'host/x', secret: 'x' }), 'give one as https://host/path'],
    ],
  ],
])('%s', (_, slips) => {
  test.each(slips)('%s', (_what, given, told) => {
    // All of it is told in a line or two, and nothing of what was given is dumped.
    expect(given).toThrow(expect.objectContaining({ code: 'BadDefinition' }) as Error)
    expect(given).toThrow(told)
    expect(given).not.toThrow(/\n|\[Function|\[Object|\[object/)
  })
})
