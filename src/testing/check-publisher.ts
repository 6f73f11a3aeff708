/** What every publisher of an outbox must keep, said as a check of one's own: docs/outbox.md shows it. */
import { reasonOf } from '../aggregate/error.ts'
import { deriveId } from '../log/identity.ts'
import type { CloudEvent } from '../react/cloud-event.ts'
import {
  functionPublisher,
  LeftAlone,
  PublishRefused,
  type OpenPublisher,
  type OutboxMessage,
  type Publish,
  type Publisher,
} from '../react/publisher.ts'

/** A publisher, and the place where it publishes to, as the check needs them. */
export interface PublisherUnderTest {
  readonly publisher: Publisher | Publish
  /** The messages that have arrived there, the first one first: their CloudEvents, as JSON or read from it. */
  arrived(): Promise<readonly (string | { readonly id: string })[]>
  /** Has the place take nothing any more, whatever comes; and all again. */
  goAway(): Promise<void>
  comeBack(): Promise<void>
  /** Has it refuse the message of this id for good; left out where there is nothing that it would refuse. */
  refuse?(id: string): Promise<void>
  /**
   * Has it answer whatever comes by asking to be left alone for a minute. What is returned says how often it was asked for anything since.
   * Left out where it never does so.
   */
  askForQuiet?(): Promise<() => number>
  /** Called at the end. */
  cleanUp(): Promise<void>
}

/** A publisher does not keep its promise. The message says which. */
export class PublisherBroken extends Error {
  override readonly name = 'PublisherBroken'
}

/** How long one step may take; a publisher whose place is away may wait for it for as long. */
const STEP_MS = 30_000
const STREAMS = 7

/**
 * Publishes messages by a publisher of one's own, through its place's being away and its refusing one, and looks at what has
 * arrived. Each promise is tried with a publisher of its own, and an empty place.
 * @throws PublisherBroken, or what the functions given throw
 */
export async function checkPublisher(create: () => Promise<PublisherUnderTest>): Promise<void> {
  for (const [promise, check] of Object.entries(PROMISES)) {
    const place = await create()
    const { publisher } = place
    const open = (typeof publisher === 'function' ? functionPublisher(publisher) : publisher).open('checked')
    try {
      await check({ open, place })
    } catch (error) {
      if (!(error instanceof Failed)) throw error
      throw new PublisherBroken(`${promise}: ${error.message}`, { cause: error.cause })
    } finally {
      await open.close()
      await place.cleanUp()
    }
  }
}

interface Checked {
  readonly open: OpenPublisher
  readonly place: PublisherUnderTest
}

class Failed extends Error {}

const PROMISES: Readonly<Record<string, (checked: Checked) => Promise<void>>> = {
  'what is published has arrived, whole, and in order': async ({ open, place }) => {
    const messages = messagesOf(200)
    succeeds(await attempt(open, []), 'nothing to publish')
    succeeds(await attempt(open, messages), 'all')
    const there = await arrivedAt(place)
    inOrder(there, messages)
    for (const { id, event } of messages) {
      const found = there.find((each) => each.id === id)
      if (JSON.stringify(sorted(found)) !== JSON.stringify(sorted(event)))
        fail(`message ${id} is not what was published`)
    }
  },
  'many calls at once do not get into each other': async ({ open, place }) => {
    const calls = Array.from({ length: 8 }, (_, call) => messagesOf(50, `call-${call}`))
    for (const outcome of await Promise.all(calls.map((messages) => attempt(open, messages)))) succeeds(outcome, 'one')
    const there = await arrivedAt(place)
    for (const messages of calls) inOrder(there, messages)
  },
  'what is published again keeps its id': async ({ open, place }) => {
    const messages = messagesOf(20)
    succeeds(await attempt(open, messages), 'the first time')
    succeeds(await attempt(open, messages), 'the second time')
    inOrder(await arrivedAt(place), messages)
  },
  'while the place is away nothing is lost, and no order': async ({ open, place }) => {
    const messages = messagesOf(60)
    succeeds(await attempt(open, messages.slice(0, 20)), 'before it was away')
    await place.goAway()
    const outcome = await attempt(open, messages.slice(20))
    if (outcome.error === undefined) fail('the place took nothing, and it said that all had arrived')
    if (outcome.error instanceof PublishRefused) fail('it refused a message for good, as the place was away')
    await place.comeBack()
    notTooEarly(outcome, await arrivedAt(place))
    await untilPublished(open, messages.slice(20), outcome)
    inOrder(await arrivedAt(place), messages)
  },
  'a refused message is named, and holds back those of its stream alone': async ({ open, place }) => {
    if (place.refuse === undefined) return
    const messages = messagesOf(40)
    const refused = messages[10]!
    await place.refuse(refused.id)
    const { error, published } = await attempt(open, messages)
    if (!(error instanceof PublishRefused)) fail('it did not throw PublishRefused', error)
    if (error.refused.id !== refused.id) fail(`it named message ${error.refused.id}, and not ${refused.id}`)
    const there = await arrivedAt(place)
    notTooEarly({ error, published }, there)
    const held = messages.slice(10).filter(({ stream }) => stream === refused.stream)
    if (held.some(({ id }) => there.some((each) => each.id === id))) fail('later ones of its stream have arrived')
    const others = messages.filter(({ stream }) => stream !== refused.stream)
    succeeds(await attempt(open, others), 'the others')
    inOrder(await arrivedAt(place), others)
  },
  'who wants to be left alone is left alone, and no message is blamed for that': async ({ open, place }) => {
    if (place.askForQuiet === undefined) return
    const asked = await place.askForQuiet()
    const messages = messagesOf(20)
    const first = await attempt(open, messages)
    if (first.error === undefined) fail('the place wanted to be left alone, and it said that all had arrived')
    if (first.error instanceof PublishRefused)
      fail('it refused a message for good, as the place wanted to be left alone')
    const before = asked()
    const { error } = await attempt(open, messages)
    if (asked() !== before) fail('it asked the place again')
    if (!(error instanceof LeftAlone)) fail('it did not throw LeftAlone', error)
  },
  'nothing is begun that nobody waits for': async ({ open, place }) => {
    const { error } = await attempt(open, messagesOf(3), AbortSignal.abort(new Error('given up')))
    if (error === undefined) fail('its signal was aborted, and it said that all had arrived')
    if ((await arrivedAt(place)).length > 0) fail('its signal was aborted, and messages have arrived')
  },
  'a closed one publishes nothing': async ({ open, place }) => {
    await open.close()
    const { error } = await attempt(open, messagesOf(3))
    if (error === undefined) fail('it was closed, and said that all had arrived')
    if ((await arrivedAt(place)).length > 0) fail('it was closed, and messages have arrived')
  },
}

interface Outcome {
  readonly error?: unknown
  /** Ids that it said have arrived. */
  readonly published: ReadonlySet<string>
}

async function attempt(open: OpenPublisher, messages: readonly OutboxMessage[], given?: AbortSignal): Promise<Outcome> {
  const published = new Set<string>()
  const known = new Set(messages.map(({ id }) => id))
  const signal = given ?? AbortSignal.timeout(STEP_MS)
  let stranger: string | undefined
  const note = ({ id }: OutboxMessage): void => {
    if (!known.has(id)) stranger = id
    published.add(id)
  }
  try {
    await open.publish(messages, { signal, published: note })
    return { published }
  } catch (error) {
    if (signal.aborted && given === undefined) fail(`it did not come to an end in ${STEP_MS} ms`, error)
    return { error, published }
  } finally {
    if (stranger !== undefined) fail(`it said that message ${stranger} had arrived, which it was not given`)
  }
}

/** As an outbox does: what has not arrived is given again until it has. */
async function untilPublished(open: OpenPublisher, messages: readonly OutboxMessage[], first: Outcome): Promise<void> {
  const arrived = new Set(first.published)
  const endMs = Date.now() + STEP_MS
  for (;;) {
    const left = messages.filter(({ id }) => !arrived.has(id))
    const outcome = await attempt(open, left)
    if (outcome.error === undefined) return
    for (const id of outcome.published) arrived.add(id)
    if (Date.now() > endMs) fail('the place was back, and it did not publish', outcome.error)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function messagesOf(count: number, among = 'order'): readonly OutboxMessage[] {
  return Array.from({ length: count }, (_, i) => {
    const stream = `${among}/${i % STREAMS}`
    const id = deriveId('checked', among, i)
    const event: CloudEvent = {
      specversion: '1.0',
      id,
      source: 'urn:penhold:checked',
      type: 'com.example.order.changed',
      subject: stream,
      time: new Date(1_763_700_000_000 + i).toISOString(),
      datacontenttype: 'application/json',
      stream,
      version: String(1 + Math.floor(i / STREAMS)),
      position: String(i + 1),
      correlationid: id,
      causationid: id,
      data: { number: i, text: 'Ünïcode, "quotes"\nand lines', nothing: null },
    }
    return { id, stream, event, json: JSON.stringify(event) }
  })
}

async function arrivedAt(place: PublisherUnderTest): Promise<readonly { readonly id: string }[]> {
  const there = await place.arrived()
  return there.map((each) => (typeof each === 'string' ? (JSON.parse(each) as { readonly id: string }) : each))
}

/** Each has arrived, and before all that stands behind it in its stream; it may come again later. */
function inOrder(there: readonly { readonly id: string }[], messages: readonly OutboxMessage[]): void {
  const first = new Map<string, number>()
  for (const [i, { id }] of there.entries()) if (!first.has(id)) first.set(id, i)
  const last = new Map<string, number>()
  for (const { id, stream, event } of messages) {
    const at = first.get(id)
    if (at === undefined) fail(`version ${event.version} of ${stream} has not arrived`)
    if (at < (last.get(stream) ?? -1)) fail(`version ${event.version} of ${stream} came after a later one`)
    last.set(stream, at)
  }
}

function notTooEarly({ published }: Outcome, there: readonly { readonly id: string }[]): void {
  const ids = new Set(there.map(({ id }) => id))
  for (const id of published) if (!ids.has(id)) fail(`it said that message ${id} had arrived, and it has not`)
}

function sorted(event: object | undefined): unknown {
  return event && Object.fromEntries(Object.entries(event).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function succeeds({ error }: Outcome, what: string): void {
  if (error !== undefined) fail(`${what} could not be published`, error)
}

function fail(problem: string, cause?: unknown): never {
  throw new Failed(cause === undefined ? problem : `${problem}: ${reasonOf(cause)}`, { cause })
}
