/** What befalls a server that simulated processes call. */
import fc from 'fast-check'
import type { CallFault, ServerFault } from '../../src/testing/simulated-server.ts'
import { briefly, place } from './plan.ts'

/** At such a time; and where it befalls calls, such of them. */
export function serverFault(atMs: fc.Arbitrary<number>, faults: readonly CallFault[]): fc.Arbitrary<ServerFault> {
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('calls' as const),
        atMs,
        faults: fc.array(fc.constantFrom(...faults), { minLength: 1, maxLength: 6 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('away' as const), atMs, forMs: briefly }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut-off' as const), atMs, place, forMs: briefly }) },
  )
}
