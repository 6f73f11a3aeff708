import { expect, test } from 'vitest'
import { redisStreamPublisher } from '../../src/platform/redis-publisher.ts'
import { webhookPublisher } from '../../src/platform/webhook-publisher.ts'
import { LeftAlone, PublishRefused, type OutboxMessage } from '../../src/react/publisher.ts'
import { checkPublisher } from '../../src/testing/check-publisher.ts'
import { SECRET, startWebhookServer } from '../platform/webhook-server.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'

test('any function can keep the promise of publishers', async () => {
  await checkPublisher(async () => {
    const there: string[] = []
    let isAway = false
    let refused = ''
    let [wantsQuiet, isQuiet, asked] = [false, false, 0]
    return {
      publisher: async (messages, { published }) => {
        for (const message of messages) {
          if (isQuiet) throw new LeftAlone('the place', 60_000)
          asked += 1
          isQuiet = wantsQuiet
          if (isAway || isQuiet) throw new Error('away')
          if (message.id === refused) throw new PublishRefused(message, 'not wanted')
          there.push(message.json)
          published(message)
        }
      },
      arrived: async () => there,
      goAway: async () => void (isAway = true),
      comeBack: async () => void (isAway = false),
      refuse: async (id) => void (refused = id),
      askForQuiet: async () => {
        wantsQuiet = true
        return () => asked
      },
      cleanUp: async () => undefined,
    }
  })
})

test('a publisher over HTTP keeps the promise of publishers', async () => {
  await checkPublisher(async () => {
    const server = await startWebhookServer()
    const takes = server.answer
    return {
      publisher: webhookPublisher({ url: server.url, secret: SECRET }),
      arrived: async () => server.taken,
      goAway: async () => void (server.answer = () => ({ status: 503, headers: { 'retry-after': '1' } })),
      comeBack: async () => void (server.answer = takes),
      refuse: async (id) =>
        void (server.answer = (request) => ({ status: request.headers['webhook-id'] === id ? 422 : 202 })),
      askForQuiet: async () => {
        server.answer = () => ({ status: 429, headers: { 'retry-after': '60' } })
        return () => server.requests.length
      },
      cleanUp: () => server.stop(),
    }
  })
})

const streams = { one: () => 'all', many: ({ stream }: OutboxMessage) => `of-${stream}` }

test.skipIf(!hasRedis).for(['one', 'many'] as const)('a publisher to Redis keeps the promise: %s', async (which) => {
  await checkPublisher(async () => {
    const server = await startRedis()
    let refused = ''
    const stream = (message: OutboxMessage): string => {
      if (message.id === refused) throw new Error('it has no place')
      return streams[which](message)
    }
    return {
      publisher: redisStreamPublisher({ redis: server.url, stream, timeoutMs: 5_000 }),
      arrived: async () => {
        const there: string[] = []
        for (const key of await server.admin.keys('*')) there.push(...(await entriesOf(server, key)))
        return there
      },
      goAway: async () => server.pause(),
      comeBack: async () => server.resume(),
      refuse: async (id) => void (refused = id),
      cleanUp: () => server.stop(),
    }
  })
})

async function entriesOf({ admin }: RedisProcess, key: string): Promise<readonly string[]> {
  const entries = await admin.xrange(key, '-', '+')
  return entries.map(([, fields]) => fields[fields.indexOf('event') + 1]!)
}

test('what does not keep the promise is told by its sentence', async () => {
  const place = (publish: (there: string[], messages: readonly OutboxMessage[]) => void) => async () => {
    const there: string[] = []
    return {
      publisher: async (messages: readonly OutboxMessage[]) => publish(there, messages),
      arrived: async () => there,
      goAway: async () => undefined,
      comeBack: async () => undefined,
      cleanUp: async () => undefined,
    }
  }
  const backwards = place((there, messages) => there.push(...messages.map(({ json }) => json).toReversed()))
  await expect(checkPublisher(backwards)).rejects.toThrow('in order: version 2 of order/')
  const loses = place((there, messages) => there.push(...messages.slice(1).map(({ json }) => json)))
  await expect(checkPublisher(loses)).rejects.toThrow('has not arrived')
  const lies = place((there, messages) => there.push(...messages.map(({ json }) => json)))
  await expect(checkPublisher(lies)).rejects.toThrow('while the place is away nothing is lost')
})

test.each([
  ['asks on', () => new Error('busy'), 1, 'it asked the place again'],
  [
    'blames a message',
    (message: OutboxMessage) => new PublishRefused(message, 'busy'),
    0,
    'it refused a message for good',
  ],
  ['does not say so', () => new Error('busy'), 0, 'it did not throw LeftAlone'],
] as const)('one that %s where the place wants to be left alone is told', async (_what, errorOf, step, sentence) => {
  const broken = async () => {
    const there: string[] = []
    let [mode, asked]: ['open' | 'away' | 'quiet', number] = ['open', 0]
    return {
      publisher: async (messages: readonly OutboxMessage[]) => {
        if (mode === 'away') throw new Error('away')
        asked += step
        if (mode === 'quiet' && messages.length > 0) throw errorOf(messages[0]!)
        there.push(...messages.map(({ json }) => json))
      },
      arrived: async () => there,
      goAway: async () => void (mode = 'away'),
      comeBack: async () => void (mode = 'open'),
      askForQuiet: async () => {
        mode = 'quiet'
        return () => asked
      },
      cleanUp: async () => undefined,
    }
  }
  await expect(checkPublisher(broken)).rejects.toThrow(sentence)
})
