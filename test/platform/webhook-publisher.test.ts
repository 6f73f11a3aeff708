import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  LeftAlone,
  PublishRefused,
  webhookPublisher,
  type OutboxMessage,
  type WebhookOptions,
} from '../../src/index.ts'
import { webhookKey, webhookSignature } from '../../src/platform/webhook-signature.ts'
import { messageOf } from '../react/message.ts'
import { SECRET, startWebhookServer, type WebhookServer } from './webhook-server.ts'

let server: WebhookServer
beforeEach(async () => {
  server = await startWebhookServer()
})
afterEach(() => server.stop())

/** Publishes, and says which were told to have arrived, and what was thrown. */
async function publish(messages: readonly OutboxMessage[], more: Partial<WebhookOptions> = {}) {
  const open = webhookPublisher({ url: server.url, secret: SECRET, ...more }).open('payments')
  try {
    return await attempt(open, messages)
  } finally {
    await open.close()
  }
}

async function attempt(
  open: ReturnType<ReturnType<typeof webhookPublisher>['open']>,
  messages: readonly OutboxMessage[],
) {
  const published: string[] = []
  const { signal } = new AbortController()
  const note = ({ id }: OutboxMessage): void => void published.push(id)
  const error = await open.publish(messages, { signal, published: note }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { published, error }
}

test('a signature is what the specification says', () => {
  // The example of Standard Webhooks' reference implementations.
  const about = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1614265330, body: '{"test": 2432232314}' }
  expect(webhookSignature([webhookKey(SECRET)], about)).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  const both = webhookSignature(
    [webhookKey(SECRET), webhookKey(`whsec_${Buffer.alloc(24, 7).toString('base64')}`)],
    about,
  )
  expect(both.split(' ')).toHaveLength(2)
})

test('a request has the event, its id to dedupe by, and what was given along', async () => {
  const message = messageOf('account/anna', 1)
  expect(await publish([message], { headers: { authorization: 'Bearer x' } })).toEqual({
    published: [message.id],
    error: undefined,
  })
  const [{ headers, body }] = server.requests as [WebhookServer['requests'][number]]
  expect(body).toBe(message.json)
  expect(headers).toMatchObject({
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'idempotency-key': message.id,
    'webhook-id': message.id,
    authorization: 'Bearer x',
  })
})

test('with two secrets a receiver that knows one of them takes it', async () => {
  const other = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
  expect((await publish([messageOf('account/anna', 1)], { secret: [other, SECRET] })).error).toBe(undefined)
  const { error } = await publish([messageOf('account/anna', 1)], { secret: other })
  expect(error).toMatchObject({ code: 'PublisherUnavailable' })
  expect((error as Error).message).toContain('it answered 401: the signature is not right. Look at the secret')
})

test.for([400, 409, 413, 415, 422])('%s: the message is refused, with what was said', async (status) => {
  server.answer = () => ({ status, body: 'no such\naccount' })
  const message = messageOf('account/anna', 1)
  const { error } = await publish([message])
  expect(error).toBeInstanceOf(PublishRefused)
  expect(error).toMatchObject({
    refused: message,
    message: expect.stringContaining(`${status}: no such account`) as string,
  })
})

test.for([301, 307, 401, 403, 404, 405, 408, 410, 418, 425, 429, 500, 502, 503, 504])(
  '%s: it is away, and nothing is refused',
  async (status) => {
    server.answer = () => ({ status, headers: { location: 'http://127.0.0.1:1/' } })
    const { error } = await publish([messageOf('account/anna', 1), messageOf('account/anna', 2)])
    expect(error).toMatchObject({ code: 'PublisherUnavailable', retryable: true, outcome: 'unknown' })
    expect((error as Error).message).toContain(String(status))
    // What is in its query stays there.
    expect((error as Error).message).not.toContain('hidden')
    expect(server.requests).toHaveLength(1)
  },
)

test('who does not answer, or is not there, is away', async () => {
  server.answer = () => undefined
  const silent = await publish([messageOf('account/anna', 1)], { timeoutMs: 100 })
  expect(silent.error).toMatchObject({
    code: 'PublisherUnavailable',
    message: expect.stringContaining('100 ms') as string,
  })
  await server.stop()
  const gone = await publish([messageOf('account/anna', 1)])
  expect(gone.error).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') as string })
})

test('who asks to be left alone is, for as long as the bound', async () => {
  server.answer = () => ({ status: 429, headers: { 'retry-after': '3600' } })
  const options = { url: server.url, secret: SECRET, concurrency: 1 }
  const open = webhookPublisher(options).open('payments')
  const messages = [messageOf('account/anna', 1), messageOf('account/ben', 1)]
  expect((await attempt(open, messages)).error).toMatchObject({ code: 'PublisherUnavailable' })
  server.answer = () => ({ status: 204 })
  const { error } = await attempt(open, messages)
  expect((error as Error).message).toMatch(/left alone for (60|[1-5]?\d) s/)
  expect(server.requests).toHaveLength(1)
  await open.close()

  const bounded = webhookPublisher({ ...options, retryAfterMsMax: 1 }).open('payments')
  server.answer = () => ({ status: 503, headers: { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() } })
  await attempt(bounded, messages)
  server.answer = () => ({ status: 204 })
  let tries = 0
  while ((await attempt(bounded, messages)).error !== undefined) tries += 1
  expect(tries).toBeLessThan(1_000)
  await bounded.close()
})

test('a stream’s messages wait for the one before, other streams do not; no more are under way than the limit', async () => {
  const ids = Array.from({ length: 12 }, (_, i) => `account/${i}`)
  const messages = [1, 2].flatMap((version) => ids.map((stream) => messageOf(stream, version)))
  let [underWay, most] = [0, 0]
  server.answer = async ({ body }) => {
    underWay += 1
    most = Math.max(most, underWay)
    const { stream, version } = JSON.parse(body) as { readonly stream: string; readonly version: string }
    const before = server.taken.some((other) => other.includes(`"stream":"${stream}","version":"1"`))
    // Others come meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 2))
    underWay -= 1
    return { status: version === '2' && !before ? 400 : 204 }
  }
  const open = webhookPublisher({ url: server.url, secret: SECRET, concurrency: 3 }).open('payments')
  // Two calls, as of two shards.
  const halves = [0, 1].map((half) => messages.filter(({ stream }) => Number(stream.slice(8)) % 2 === half))
  const outcomes = await Promise.all(halves.map((half) => attempt(open, half)))
  expect(outcomes.map(({ error }) => error)).toEqual([undefined, undefined])
  expect(server.taken).toHaveLength(messages.length)
  expect(most).toBeLessThanOrEqual(3)
  await open.close()
})

test('what waits for others’ requests for longer than an answer may take is not asked, and nothing is known of it', async () => {
  server.answer = () => undefined
  const open = webhookPublisher({ url: server.url, secret: SECRET, concurrency: 2, timeoutMs: 200 }).open('payments')
  // Each a call, as of many shards.
  const calls = Array.from({ length: 20 }, (_, i) => attempt(open, [messageOf(`account/${i}`, 1)]))
  const errors = (await Promise.all(calls)).map(({ error }) => error as Error)
  expect(errors[0]).toMatchObject({ message: expect.stringContaining('no answer in 200 ms') as string })
  expect(errors[0]).not.toBeInstanceOf(LeftAlone)
  expect(errors.at(-1)).toBeInstanceOf(LeftAlone)
  expect(errors.at(-1)!.message).toContain('all requests that may be under way are')
  expect(server.requests.length).toBeLessThan(20)
  server.answer = () => ({ status: 204 })
  // Those that have waited in vain take nobody's turn. An answer may come too late now and then.
  for (let i = 0; i < 4; i += 1) {
    await expect.poll(async () => (await attempt(open, [messageOf(`account/${i}`, 2)])).error).toBe(undefined)
  }
  await open.close()
})

test('settings that cannot work are refused, and no secret is shown', () => {
  const wrong: readonly [change: object, message: string][] = [
    [{ url: 'ftp://x' }, 'url is none of http or https'],
    [{ url: 'https://user:hidden@host/' }, 'has a user or a password in it'],
    [{ secret: 'hidden' }, 'secret is none of Standard Webhooks'],
    [{ secret: 'whsec_aGlkZGVu' }, 'secret is none of Standard Webhooks'],
    [{ secret: [] }, 'give one, or up to 8'],
    [{ headers: { 'Webhook-Id': 'x' } }, "headers have 'webhook-id'"],
    [{ headers: { 'a b': 'x' } }, 'headers are none'],
    [{ timeoutMs: 0 }, 'timeoutMs is 0'],
    [{ concurrency: 1.5 }, 'concurrency is 1.5'],
  ]
  for (const [change, message] of wrong) {
    const create = (): unknown => webhookPublisher({ url: server.url, secret: SECRET, ...change })
    expect(create).toThrow(message)
    expect(create).not.toThrow('hidden')
  }
})
