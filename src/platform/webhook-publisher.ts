/**
 * Publishes each message by an HTTP POST: a CloudEvent in JSON, signed as Standard Webhooks says. One stream's messages go
 * one after the other, those of several beside each other.
 */
import { definitionError, describe } from '../aggregate/error.ts'
import { checkKeys } from '../read/definition-check.ts'
import {
  LeftAlone,
  publisherClosed,
  PublishRefused,
  publisherUnavailable,
  type OpenPublisher,
  type OutboxMessage,
  type Publisher,
  type Publishing,
} from '../react/publisher.ts'
import { webhookKey, webhookSignature } from './webhook-signature.ts'

export interface WebhookOptions {
  readonly url: string
  /** `whsec_` and 24 to 64 bytes in base64. With several each signs, so that a receiver can go from one to the next. */
  readonly secret: string | readonly string[]
  /** Sent along, as an `authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  /** So long an answer may take; and so long a message waits for its turn among `concurrency`, then it was not asked. Default 15,000. */
  readonly timeoutMs?: number
  /** So many requests are under way at once, of one node and outbox. Default 16. */
  readonly concurrency?: number
  /** A receiver that asks to be left alone for longer is asked again after this. Default 60,000. */
  readonly retryAfterMsMax?: number
}

const OPTIONAL: readonly string[] = ['headers', 'timeoutMs', 'concurrency', 'retryAfterMsMax']
const SECRETS_MAX = 8
const BODY_BYTES_MAX = 64 * 1024
const SHOWN = 200
/** They are made of each message, or of the request. */
const OWN_HEADERS: readonly string[] = [
  'connection',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'transfer-encoding',
  'webhook-id',
  'webhook-signature',
  'webhook-timestamp',
]
/** What is wrong with the message itself. */
const REFUSED: readonly number[] = [400, 409, 413, 415, 422]
const REMEDY: Readonly<Record<number, string>> = {
  401: 'Look at the secret, and at the headers',
  403: 'Look at the secret, and at the headers',
  404: 'Look at the url',
  405: 'Look at the url',
  410: 'It is gone for good: give another url, or take the outbox out of the config',
}

/**
 * A publisher to one URL. 2xx: it has arrived. 400, 409, 413, 415, 422: this message is refused. Whatever else, or no answer:
 * it is away, or not set up for these messages, and is tried again, later; after 429 and 503 no sooner than `Retry-After` says.
 */
export function webhookPublisher(options: WebhookOptions): Publisher {
  checkKeys('webhookPublisher', options, { required: ['url', 'secret'], optional: OPTIONAL })
  const { url, secret, headers = {}, timeoutMs = 15_000, concurrency = 16, retryAfterMsMax = 60_000 } = options
  const secrets = typeof secret === 'string' ? [secret] : secret
  if (!Array.isArray(secrets) || secrets.length === 0 || secrets.length > SECRETS_MAX) {
    throw wrong(
      `secret is ${typeof secret === 'string' ? 'a text' : describe(secret)}; give one, or up to ${SECRETS_MAX}`,
    )
  }
  for (const [key, value] of Object.entries({ timeoutMs, concurrency, retryAfterMsMax })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw wrong(`${key} is ${describe(value)}; give a whole number from 1`)
  }
  const settings = {
    url: checkedUrl(url),
    keys: secrets.map(webhookKey),
    headers: checkedHeaders(headers),
    timeoutMs,
    concurrency,
    retryAfterMsMax,
  }
  return { timeoutMs, open: (outbox) => new WebhookPublisher(outbox, settings) }
}

interface Settings {
  readonly url: URL
  readonly keys: readonly Buffer[]
  readonly headers: Headers
  readonly timeoutMs: number
  readonly concurrency: number
  readonly retryAfterMsMax: number
}

const BUSY = 'all requests that may be under way are, and go on for long (concurrency)'

type Answer =
  | { readonly kind: 'arrived' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'away'; readonly reason: string; readonly cause?: unknown }
  /** It was not asked. */
  | { readonly kind: 'left alone'; readonly ms: number; readonly reason?: string }

class WebhookPublisher implements OpenPublisher {
  readonly #outbox: string
  readonly #settings: Settings
  readonly #closed = new AbortController()
  /** Until when the receiver wants to be left alone, on the monotonic clock. */
  #quietUntil = 0
  #underWay = 0
  /** Those that wait for a request to end, the first first. */
  readonly #waiting = new Set<() => void>()

  constructor(outbox: string, settings: Settings) {
    this.#outbox = outbox
    this.#settings = settings
  }

  async publish(messages: readonly OutboxMessage[], publishing: Publishing): Promise<void> {
    const signal = AbortSignal.any([publishing.signal, this.#closed.signal])
    const rows = rowsOf(messages)
    const refusals: PublishRefused[] = []
    let away: Error | undefined
    const goOn = async (): Promise<void> => {
      for (let row = rows.shift(); row !== undefined && away === undefined; row = rows.shift()) {
        for (const message of row) {
          const answer = await this.#post(message, signal, () => away !== undefined)
          if (answer.kind === 'arrived') {
            publishing.published(message)
            continue
          }
          if (answer.kind === 'refused') refusals.push(new PublishRefused(message, answer.reason))
          else if (answer.kind === 'left alone') away ??= new LeftAlone(this.#where, answer.ms, answer.reason)
          else away ??= publisherUnavailable(this.#where, answer.reason, answer.cause)
          break
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(this.#settings.concurrency, rows.length) }, goOn))
    if (this.#closed.signal.aborted) throw publisherClosed(`outbox ${this.#outbox}`)
    publishing.signal.throwIfAborted()
    if (away !== undefined) throw away
    const refused = new Map(refusals.map((refusal) => [refusal.refused, refusal]))
    const first = messages.find((message) => refused.has(message))
    if (first !== undefined) throw refused.get(first)
  }

  async close(): Promise<void> {
    this.#closed.abort(publisherClosed(`outbox ${this.#outbox}`))
  }

  /** Where it publishes to, without what may be secret. */
  get #where(): string {
    const { origin, pathname } = this.#settings.url
    return `${origin}${pathname}`
  }

  async #post(message: OutboxMessage, signal: AbortSignal, isInVain: () => boolean): Promise<Answer> {
    const { timeoutMs } = this.#settings
    if (!(await this.#hasTurn())) return { kind: 'left alone', ms: timeoutMs, reason: BUSY }
    try {
      const quietMs = this.#quietUntil - performance.now()
      if (isInVain() || signal.aborted) return { kind: 'away', reason: 'it was given up' }
      if (quietMs > 0) return { kind: 'left alone', ms: quietMs }
      return await this.#request(message, signal)
    } catch (cause) {
      return { kind: 'away', reason: reasonOf(cause, timeoutMs), cause }
    } finally {
      const [next] = this.#waiting
      if (next === undefined) this.#underWay -= 1
      else next()
    }
  }

  /**
   * Waits for one of the requests that may be under way, and for no longer than an answer may take: so a message alone comes to its end
   * in twice that, and whoever waits for it does not take it for one that is never taken because others are many.
   */
  async #hasTurn(): Promise<boolean> {
    if (this.#underWay < this.#settings.concurrency) {
      this.#underWay += 1
      return true
    }
    return await new Promise((resolve) => {
      const end = (hasTurn: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(take)
        resolve(hasTurn)
      }
      const take = (): void => end(true)
      const timer = setTimeout(() => end(false), this.#settings.timeoutMs)
      this.#waiting.add(take)
    })
  }

  async #request({ id, json }: OutboxMessage, signal: AbortSignal): Promise<Answer> {
    const { url, keys, timeoutMs } = this.#settings
    const timestamp = Math.floor(Date.now() / 1000)
    const headers = new Headers(this.#settings.headers)
    headers.set('content-type', 'application/cloudevents+json; charset=utf-8')
    headers.set('idempotency-key', id)
    headers.set('webhook-id', id)
    headers.set('webhook-timestamp', String(timestamp))
    headers.set('webhook-signature', webhookSignature(keys, { id, timestamp, body: json }))
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: json,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
    const { status, ok } = response
    if (status === 429 || status === 503) this.#leaveAlone(response.headers.get('retry-after'))
    const said = await shownBody(response).catch(() => '')
    if (ok) return { kind: 'arrived' }
    const reason = `it answered ${status}${said === '' ? '' : `: ${said}`}`
    if (REFUSED.includes(status)) return { kind: 'refused', reason }
    if (status < 400) return { kind: 'away', reason: `${reason}. It is elsewhere now: give the URL that it moved to` }
    const remedy = REMEDY[status]
    return { kind: 'away', reason: remedy === undefined ? reason : `${reason}. ${remedy}` }
  }

  #leaveAlone(retryAfter: string | null): void {
    if (retryAfter === null) return
    const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000
    if (!(seconds > 0)) return
    const until = performance.now() + Math.min(seconds * 1000, this.#settings.retryAfterMsMax)
    this.#quietUntil = Math.max(this.#quietUntil, until)
  }
}

/** By stream, each in order. */
function rowsOf(messages: readonly OutboxMessage[]): (readonly OutboxMessage[])[] {
  return [...Map.groupBy(messages, ({ stream }) => stream).values()]
}

/** Reads what a receiver says, as far as it need be for the connection to be used again; the beginning of it, for people. */
async function shownBody({ body }: Response): Promise<string> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    bytes += chunk.length
    // Leaving ends the connection.
    if (bytes > BODY_BYTES_MAX) break
  }
  return Buffer.concat(chunks)
    .toString()
    .slice(0, SHOWN)
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
}

/** Node says of most that 'fetch failed', and why in the cause. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no answer in ${timeoutMs} ms`
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message
}

function checkedUrl(given: unknown): URL {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined
  // It is not shown: it may have a secret in it.
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw wrong('url is none of http or https; give one as https://host/path')
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong(`the url of ${url.host} has a user or a password in it; give headers: { authorization }`)
  }
  return url
}

function checkedHeaders(given: Readonly<Record<string, string>>): Headers {
  let headers: Headers
  try {
    headers = new Headers(given)
  } catch {
    throw wrong('headers are none; give an object of texts')
  }
  const taken = OWN_HEADERS.find((name) => headers.has(name))
  if (taken !== undefined) throw wrong(`headers have '${taken}', which is made for each message`)
  return headers
}

function wrong(problem: string): Error {
  return definitionError(`webhookPublisher: ${problem}`)
}
