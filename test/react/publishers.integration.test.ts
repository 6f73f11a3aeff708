import { expect, test } from 'vitest'
import { redisStreamPublisher } from '../../src/platform/redis-publisher.ts'
import { webhookPublisher } from '../../src/platform/webhook-publisher.ts'
import { PublishRefused, type OutboxMessage } from '../../src/react/publisher.ts'
import { checkPublisher } from '../../src/testing/check-publisher.ts'
import { SECRET, startWebhookServer } from '../platform/webhook-server.ts'
import { hasRedis, startRedis, type RedisProcess } from '../redis-server.ts'

test('any function can keep the promise of publishers', async () => {
  await checkPublisher(async () => {
    const there: string[] = []
    let isAway = false
    let refused = ''
    return {
      publisher: async (messages, { published }) => {
        for (const message of messages) {
          if (isAway) throw new Error('away')
          if (message.id === refused) throw new PublishRefused(message, 'not wanted')
          there.push(message.json)
          published(message)
        }
      },
      arrived: async () => there,
      goAway: async () => void (isAway = true),
      comeBack: async () => void (isAway = false),
      refuse: async (id) => void (refused = id),
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
      publisher: redisStreamPublisher({ redis: server.url, stream, timeoutMs: 1_000 }),
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
