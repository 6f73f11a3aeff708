/**
 * Integration events, as others get them: CloudEvents 1.0 in their JSON format, with extensions that say where the event
 * stands. Its id is derived from the outbox and the event, so that whoever gets it twice can know.
 */
import { deriveId } from '../log/identity.ts'
import type { FeedEvent } from '../read/event-feed.ts'

/** What others may see of an event: what a mapper of an outbox returns. */
export interface IntegrationEvent<Data = unknown> {
  /** Best with a name of yours before it that nobody else has: `com.example.order.placed`. */
  readonly type: string
  /** JSON: what JSON does not have, as a Map, bytes or NaN, is refused. A Date becomes its text in ISO 8601. */
  readonly data?: Data
  /** Default: the name of the event's stream. */
  readonly subject?: string
  /** Where the schema of the data is, as a URI. */
  readonly dataschema?: string
  /** More attributes. Names have lower-case letters and digits alone. */
  readonly extensions?: Readonly<Record<string, string | number | boolean>>
}

/** A CloudEvent of version 1.0. */
export interface CloudEvent<Data = unknown> {
  readonly specversion: '1.0'
  /** The same whenever the event is published: to dedupe by. */
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject: string
  /** When the event was recorded, in ISO 8601. */
  readonly time: string
  readonly datacontenttype?: 'application/json'
  readonly dataschema?: string
  /** The name of the stream whose event it was; those of one stream come in order. */
  readonly stream: string
  /** The event's number in its stream, and its place in the order of all, in decimal digits: JSON's numbers may be cut. */
  readonly version: string
  readonly position: string
  readonly correlationid: string
  readonly causationid: string
  readonly data?: Data
  /** Extensions of the mapper's. */
  readonly [extension: string]: unknown
}

/** What is told of an outbox in each message. */
export interface Sender {
  readonly outbox: string
  readonly source: string
}

/** In CloudEvents, or in each message of ours. */
const OWN: ReadonlySet<string> = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'subject',
  'time',
  'datacontenttype',
  'dataschema',
  'data',
  'stream',
  'version',
  'position',
  'correlationid',
  'causationid',
])
const KEYS: readonly string[] = ['type', 'data', 'subject', 'dataschema', 'extensions']
const ATTRIBUTE = /^[a-z0-9]{1,20}$/
const INTEGER_MAX = 2 ** 31 - 1
const DEPTH_MAX = 64

/** @throws TypeError that says what is wrong with the integration event */
export function toCloudEvent(event: FeedEvent, integration: IntegrationEvent, sender: Sender): CloudEvent {
  const { type, data, subject = event.stream, dataschema, extensions } = integration
  checkText('type', type)
  checkText('subject', subject)
  if (dataschema !== undefined) checkText('dataschema', dataschema)
  const unknown = Object.keys(integration).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) throw new TypeError(`an integration event has no '${unknown}'; it has ${KEYS.join(', ')}`)
  const { correlationId } = event.metadata
  const cloudEvent: { -readonly [Name in keyof CloudEvent]: CloudEvent[Name] } = {
    specversion: '1.0',
    id: messageId(sender.outbox, event),
    source: sender.source,
    type,
    subject,
    time: event.time.toISOString(),
    stream: event.stream,
    version: String(event.version),
    position: String(event.position),
    correlationid: correlationId,
    causationid: event.id,
  }
  if (dataschema !== undefined) cloudEvent.dataschema = dataschema
  if (extensions !== undefined) Object.assign(cloudEvent, checkedExtensions(extensions))
  if (data !== undefined) {
    cloudEvent.datacontenttype = 'application/json'
    cloudEvent.data = checkedJson(data)
  }
  return cloudEvent
}

/** Of the event, not only of its id: that is the caller's to choose, and may be another event's too. */
export function messageId(outbox: string, { id, stream, version }: FeedEvent): string {
  return deriveId('message', outbox, id, stream, version)
}

function checkText(what: string, given: unknown): void {
  if (typeof given === 'string' && given !== '' && given.isWellFormed()) return
  throw new TypeError(`${what} of an integration event is no text with something in it`)
}

function checkedExtensions(extensions: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  for (const [name, value] of Object.entries(extensions)) {
    if (!ATTRIBUTE.test(name) || OWN.has(name)) {
      throw new TypeError(
        `extension '${name}' of an integration event: use 1 to 20 lower-case letters and digits, and no name that CloudEvents or Penhold have`,
      )
    }
    const isNumber = typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= INTEGER_MAX
    if (isNumber || typeof value === 'string' || typeof value === 'boolean') continue
    throw new TypeError(`extension '${name}' of an integration event is no text, whole number of 32 bits or boolean`)
  }
  return extensions
}

/** What JSON would change without a word is refused, but for a Date, which becomes its ISO 8601 text. */
function checkedJson(data: unknown): unknown {
  const problem = jsonProblem(data, 0)
  if (problem === undefined) return data
  throw new TypeError(`data${problem.path} is ${problem.what}; make a text or a plain object of it`)
}

/** The first value that JSON does not have: where it is, and what. */
function jsonProblem(value: unknown, depth: number): { readonly path: string; readonly what: string } | undefined {
  if (depth > DEPTH_MAX) return { path: '', what: `nested more than ${DEPTH_MAX} deep` }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) {
      // In an object it is left out, as by whoever made it; here it would be another value.
      if (value[i] === undefined) return { path: `[${i}]`, what: 'undefined, which JSON writes as null' }
      const problem = jsonProblem(value[i], depth + 1)
      if (problem !== undefined) return { ...problem, path: `[${i}]${problem.path}` }
    }
  } else if (isPlain(value)) {
    for (const key of Object.keys(value)) {
      const problem = jsonProblem(value[key], depth + 1)
      if (problem !== undefined) return { ...problem, path: `.${key}${problem.path}` }
    }
  } else if (!isLeaf(value)) return { path: '', what: `${shown(value)}, which JSON does not have` }
  return undefined
}

function isLeaf(value: unknown): boolean {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  return value instanceof Date && !Number.isNaN(value.getTime())
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return typeof value === 'object' ? `a ${value?.constructor?.name ?? 'object'}` : `a ${typeof value}`
}
