import { describe } from 'vitest'
import { redisStreamSource } from '../../src/platform/redis-inbox.ts'
import { testSourceContract } from '../react/inbox-source-contract.ts'
import { hasRedis, startRedis } from '../redis-server.ts'

describe.skipIf(!hasRedis)('over a real Redis', () => {
  testSourceContract('a stream of Redis', async () => {
    const redis = await startRedis()
    return {
      source: redisStreamSource({ redis: redis.url, stream: 'row', timeoutMs: 5_000 }),
      add: async (fields) => (await redis.admin.xadd('row', '*', ...Object.entries(fields).flat()))!,
      trim: async (keeps) => void (await redis.admin.xtrim('row', 'MAXLEN', keeps)),
      remove: async (id) => void (await redis.admin.xdel('row', id)),
      goAway: async () => redis.pause(),
      comeBack: async () => redis.resume(),
      cleanUp: () => redis.stop(),
    }
  })
})
