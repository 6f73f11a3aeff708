/** What befalls the server of the nodes' read models. Callers of aggregates are none the wiser. */
import type { PostgresProcess } from '../../postgres-server.ts'
import type { Chaos } from '../chaos.ts'
import type { Torment } from '../torment.ts'

export function postgresTorments(chaos: Chaos, postgres: PostgresProcess): readonly Torment[] {
  return [
    {
      kind: 'PostgreSQL killed, and back',
      isHarmless: true,
      async run() {
        await postgres.kill()
        await chaos.wait(0, 5_000)
        await postgres.restart()
      },
    },
  ]
}
