import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  PublishRefused,
  redisStreamPublisher,
  redisStreamSource,
  type OpenPublisher,
  type OutboxMessage,
  type RedisStreamOptions,
} from '../../src/index.ts'
import { readPage } from '../documented.ts'
import { messageOf } from '../react/message.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'

describe.skipIf(!hasRedis)('a publisher to Redis Streams', () => {
  let server: RedisProcess
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server?.stop())
  beforeEach(() => server.admin.flushall())

  const open = (more: Partial<RedisStreamOptions> = {}): OpenPublisher =>
    redisStreamPublisher({ redis: server.url, stream: 'events', timeoutMs: 10_000, ...more }).open('payments')

  async function publish(publisher: OpenPublisher, messages: readonly OutboxMessage[]) {
    const published: string[] = []
    const { signal } = new AbortController()
    const note = ({ id }: OutboxMessage): void => void published.push(id)
    const error = await publisher.publish(messages, { signal, published: note }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    await publisher.close()
    return { published, error }
  }

  const idsIn = async (key: string) => (await server.admin.xrange(key, '-', '+')).map(([, [, id]]) => id)
  const idsOf = (messages: readonly OutboxMessage[]) => messages.map(({ id }) => id)

  test('an entry has the id to dedupe by, the type, and the event', async () => {
    const message = messageOf('account/anna', 1)
    await publish(open(), [message])
    const [[, fields]] = (await server.admin.xrange('events', '-', '+')) as [[string, string[]]]
    expect(fields).toEqual(['id', message.id, 'type', 'com.example.deposited', 'event', message.json])
  })

  test('where Redis refuses one in the middle, none behind it is added, and those before it are told', async () => {
    // Two more ids are left in this stream.
    await server.admin.xadd('events', '18446744073709551615-18446744073709551613', 'id', 'first')
    const messages = [1, 2, 3, 4].map((version) => messageOf('account/anna', version))
    const { published, error } = await publish(open(), messages)
    expect(published).toEqual(idsOf(messages.slice(0, 2)))
    expect(await idsIn('events')).toEqual(['first', ...published])
    expect(error).toMatchObject({
      code: 'PublisherUnavailable',
      message: expect.stringContaining("'events'") as string,
    })
  })

  test('an aggregate’s message waits for the one before it, though that goes to another of Redis’ streams', async () => {
    await server.admin.set('odd', 'no stream')
    const stream = ({ event }: OutboxMessage) => (Number(event.version) % 2 === 1 ? 'odd' : 'even')
    const anna = [2, 3, 4].map((version) => messageOf('account/anna', version))
    const { published, error } = await publish(open({ stream }), [messageOf('account/ben', 2), ...anna])
    expect(error).toMatchObject({ message: expect.stringContaining('WRONGTYPE') as string })
    expect(await idsIn('even')).toEqual(published)
    expect(published).toEqual(idsOf([messageOf('account/ben', 2), anna[0]!]))
  })

  test('a message of which it cannot be told where it goes is refused, behind those before it', async () => {
    const stream = ({ stream: of }: OutboxMessage) => (of === 'account/ben' ? '' : 'events')
    const messages = ['anna', 'ben', 'carl'].map((id) => messageOf(`account/${id}`, 1))
    const { error } = await publish(open({ stream }), messages)
    expect(error).toBeInstanceOf(PublishRefused)
    expect(error).toMatchObject({ refused: messages[1] })
    expect(await idsIn('events')).toEqual(idsOf(messages.slice(0, 1)))
  })

  test('a stream keeps about as many as it is told', async () => {
    const messages = Array.from({ length: 2_500 }, (_, i) => messageOf('account/anna', i + 1))
    expect(await publish(open({ maxLen: 100 }), messages)).toMatchObject({ error: undefined })
    const length = await server.admin.xlen('events')
    expect(length).toBeGreaterThanOrEqual(100)
    expect(length).toBeLessThan(300)
    expect((await idsIn('events')).at(-1)).toBe(messages.at(-1)!.id)
  })

  test('a Redis that is not there is away, and no password is shown', async () => {
    const [scheme, place] = server.url.split('//')
    const wrong = open({ redis: `${scheme}//penhold:hidden@${place}` })
    const { error } = await publish(wrong, [messageOf('account/anna', 1)])
    expect(error).toMatchObject({ code: 'PublisherUnavailable', retryable: true })
    expect((error as Error).message).not.toContain('hidden')
    const gone = await publish(open({ redis: 'redis://127.0.0.1:1' }), [messageOf('account/anna', 1)])
    expect(gone.error).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') as string })
  })

  test('the rights that docs/outbox.md names are enough', async () => {
    const [publishes, reads] = [...readPage('docs/outbox.md').matchAll(/`(\+info [^`]*)`/g)].map(
      ([, rights]) => rights!,
    )
    const asUser = async (name: string, rights: string): Promise<RedisStreamOptions['redis']> => {
      const rules = ['on', '>secret', 'resetkeys', '~events', 'resetchannels', '-@all', ...rights.split(' ')]
      await server.admin.call('ACL', 'SETUSER', name, ...rules)
      return { url: server.url, username: name, password: 'secret' }
    }
    const messages = [messageOf('account/anna', 1)]
    expect(await publish(open({ redis: await asUser('publisher', publishes!) }), messages)).toMatchObject({
      error: undefined,
    })
    const source = redisStreamSource({ redis: await asUser('reader', reads!), stream: 'events' }).open()
    const place = await source.place('beginning')
    const page = await source.read(place, 10)
    expect(page.messages.map(({ fields }) => fields['id'])).toEqual(idsOf(messages))
    // It asks for more, too.
    expect((await source.read(page.place, 10)).messages).toEqual([])
    await source.close()
  })

  test('closing ends what is under way', async () => {
    const publisher = open({ timeoutMs: 60_000 })
    server.pause()
    try {
      const outcome = publish(publisher, [messageOf('account/anna', 1)])
      await publisher.close()
      expect((await outcome).error).toMatchObject({ message: expect.stringContaining('closed') as string })
    } finally {
      server.resume()
    }
  })

  test('settings that cannot work are refused', () => {
    expect(() => redisStreamPublisher({ redis: 'http://x', stream: 'x' })).toThrow('the url is none that can be used')
    expect(() => redisStreamPublisher({ redis: server.url, stream: '' })).toThrow("stream is ''")
    expect(() => redisStreamPublisher({ redis: server.url, stream: 'x', maxLen: -1 })).toThrow('maxLen is -1')
    expect(() => redisStreamPublisher({ redis: server.url, stream: 'x', timeoutMs: 0 })).toThrow('timeoutMs is 0')
    expect(() => redisStreamPublisher({ redis: {} as never, stream: 'x' })).toThrow('does not say where Redis is')
  })
})
