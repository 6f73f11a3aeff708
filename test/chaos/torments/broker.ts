/** What befalls the Redis that takes and gives messages. It forgets nothing, so that what it was given can be looked at. */
import type { RedisProcess } from '../../redis-server.ts'
import type { Chaos } from '../chaos.ts'
import type { Torment } from '../torment.ts'

export function brokerTorments(chaos: Chaos, broker: RedisProcess): readonly Torment[] {
  return [
    {
      kind: 'broker stopped, and goes on',
      isHarmless: true,
      async run() {
        broker.pause()
        await chaos.wait(1_000, 6_000)
        broker.resume()
      },
    },
  ]
}
