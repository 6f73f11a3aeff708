/** What the pages on reactors, processes, outboxes, inboxes and reading say in numbers, held against the code. What follows from each is tested where it happens. */
import { expect, test } from 'vitest'
import { ENTRY_BYTES_MAX } from '../src/cluster/link.ts'
import { LIMIT } from '../src/node/correlation.ts'
import { HELD_BYTES_MAX, HELD_MAX } from '../src/node/held-replies.ts'
import {
  defineAggregate,
  defineInbox,
  defineOutbox,
  defineProcess,
  defineReactor,
  redisStreamSource,
} from '../src/index.ts'
import { UNREAD_MAX } from '../src/react/attempts-awaited.ts'
import { LISTED_MAX } from '../src/react/consumer-operations.ts'
import { PARKED_STREAMS_MAX } from '../src/react/consumer-record.ts'
import { AWAY_MS, CAREFUL_AFTER } from '../src/react/handle-many.ts'
import { PARKED_MESSAGES_MAX } from '../src/react/inbox-record.ts'
import { MESSAGE_BYTES_MAX, PAGE_BYTES_MAX, WORD_BYTES } from '../src/react/inbox-source.ts'
import { TOLD_MAX, TOLD_WITHIN_MS } from '../src/react/parked-warnings.ts'
import { BESIDE_BYTES, PARKED_BYTES_MAX } from '../src/react/running-inbox.ts'
import { UNENDED_MAX } from '../src/react/shard-publishing.ts'
import { backOffMs } from '../src/read/back-off.ts'
import { PAGE_MAX } from '../src/read/one-by-one.ts'
import { readPage } from './documented.ts'

const Counter = defineAggregate({
  type: 'counter',
  initialState: () => 0,
  events: { Counted: (count) => count + 1 },
  commands: { count: (_count, _none: undefined, { emit }) => emit.Counted() },
})

/** By name, what the table of options says in a section of a page. */
function documentedOptions(page: string, heading: string): Readonly<Record<string, string>> {
  const text = readPage(page)
  const section = text.slice(text.indexOf(`\n${heading}\n`))
  const [table] = /^\| option.*?\n\n/ms.exec(section)!
  return Object.fromEntries(
    [...table.matchAll(/^\| `(\w+)` +\| (.*?) *\|/gm)].map(([, name, value]) => [name!, value!]),
  )
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return '`[]`'
  if (value === 'urn:penhold:x') return '`urn:penhold:` name'
  if (typeof value === 'object') return '`{}`'
  return typeof value === 'number' ? value.toLocaleString('en-US') : `\`'${value as string}'\``
}

const from = [Counter] as const
const cases: readonly [string, string, object, object][] = [
  (() => {
    const given = { name: 'x', from, startAt: 'now', on: { Counted: () => undefined } } as const
    return ['docs/reactors.md', '## Options', given, defineReactor(given)]
  })(),
  (() => {
    const given = {
      type: 'x',
      from,
      startAt: 'now',
      correlate: { Counted: () => 'k' },
      initialState: () => 0,
      on: { Counted: () => undefined },
    } as const
    return ['docs/processes.md', '## Options', given, defineProcess({ ...given, timers: [] } as never)]
  })(),
  (() => {
    const given = { name: 'x', startAt: 'now', from, map: {}, publisher: async () => undefined } as const
    const publisher = { map: { Counted: () => undefined } }
    return ['docs/outbox.md', '## Options', given, defineOutbox({ ...given, ...publisher } as never)]
  })(),
  (() => {
    const source = redisStreamSource({ redis: 'redis://localhost', stream: 's' })
    const given = { name: 'x', startAt: 'now', source, to: from, map: () => undefined } as const
    return ['docs/outbox.md', '## Inbox', given, defineInbox(given)]
  })(),
]

test.for(cases)('%s, %s: lists the options there are, with their defaults', ([page, heading, given, defined]) => {
  const documented = documentedOptions(page, heading)
  const defaults = Object.entries(defined).map(([name, value]): [string, string] => [
    name,
    name in given ? '' : shown(value),
  ])
  expect(documented).toEqual(Object.fromEntries(defaults))
})

test('what fails is tried again after 100 ms, 200 and so on, up to 10 s', () => {
  expect(Array.from({ length: 10 }, (_, i) => backOffMs(i + 1))).toEqual([
    100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000,
  ])
})

const number = (value: number): string => value.toLocaleString('en-US')
const mib = (bytes: number): string => `${bytes / 1024 / 1024} MiB`
const kib = (bytes: number): string => `${bytes / 1024} KiB`
const words: Readonly<Record<number, string>> = {
  3: 'three',
  10: 'ten',
  60_000: 'a minute',
  150_000: 'two and a half minutes',
}

test.each<[string, string]>([
  ['docs/reactors.md', `with more than ${number(UNREAD_MAX)} events of the shard to be read before`],
  ['docs/reactors.md', `A node holds up to ${number(HELD_MAX)} replies, or ${mib(HELD_BYTES_MAX)}`],
  ['docs/reactors.md', `With events of ${number(PARKED_STREAMS_MAX)} streams parked in one shard the shard halts`],
  ['docs/reactors.md', `The first ${words[TOLD_MAX]} that are parked within ${words[TOLD_WITHIN_MS]} are told`],
  ['docs/reactors.md', `lists the oldest ${number(LISTED_MAX)} streams`],
  ['docs/reading.md', `of up to \`limit\` events (${number(LIMIT)}; with more, \`TooLarge\`)`],
  ['docs/reading.md', `arrays of up to ${number(PAGE_MAX)} of the same events`],
  ['docs/settings.md', `take up to ${mib(ENTRY_BYTES_MAX)} as they are sent`],
  ['docs/outbox.md', `So after ${words[CAREFUL_AFTER]} attempts in a row that came to nothing`],
  ['docs/outbox.md', `once it has failed so for ${words[AWAY_MS]}`],
  ['docs/outbox.md', `with ${number(UNENDED_MAX)} of them the outbox makes no more at this node`],
  ['docs/outbox.md', `An inbox has room for ${number(PARKED_MESSAGES_MAX)} parked messages`],
  ['docs/outbox.md', `A parked message takes ${kib(PARKED_BYTES_MAX)} at most`],
  ['docs/outbox.md', `is below ${kib(PARKED_BYTES_MAX + BESIDE_BYTES)}, ${kib(BESIDE_BYTES)} less than that`],
  [
    'docs/outbox.md',
    `A message has ${mib(MESSAGE_BYTES_MAX)} at most, its names and values with ${WORD_BYTES} bytes for each`,
  ],
  ['docs/outbox.md', `At a time the inbox has up to ${mib(PAGE_BYTES_MAX)} of them in memory`],
])('%s says: %s', (page, sentence) => {
  expect(readPage(page).replace(/\s+/g, ' ')).toContain(sentence)
})
