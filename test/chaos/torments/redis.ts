/** What befalls Redis. */
import type { Chaos } from '../chaos.ts'
import type { Cluster } from '../cluster.ts'
import type { Torment } from '../torment.ts'

export function redisTorments(chaos: Chaos, { redis }: Cluster): readonly Torment[] {
  return [
    {
      kind: 'Redis stopped, and goes on',
      isHarmless: true,
      async run() {
        redis.pause()
        await chaos.wait(1_000, 6_000)
        redis.resume()
      },
    },
    {
      kind: 'Redis killed, an empty one later',
      isHarmless: true,
      async run() {
        await redis.kill()
        await chaos.wait(1_000, 6_000)
        await redis.restart()
      },
    },
    {
      kind: 'Redis replaced by an empty one',
      isHarmless: true,
      async run() {
        await redis.kill()
        await redis.restart()
      },
    },
    {
      kind: 'Redis flushed',
      isHarmless: true,
      run: () => redis.admin.flushall(),
    },
  ]
}
