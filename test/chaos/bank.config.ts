/** The bank that is tormented: small segments and few actors in memory, so that a short run has roll-overs and recoveries. */
import { defineCluster } from '../../src/index.ts'
import { Account } from './account.ts'
import { projections } from './projections.ts'
import { reactions } from './reactions/consequences.ts'

// In every thread.
await import('./moved-clock.ts')
// Only where it is asked for: all others run the code as it is.
const mutant = process.env['PENHOLD_CHAOS_MUTANT']
if (mutant !== undefined) (await import('./mutant.ts')).mutants.get(mutant)!()

const { aggregates, ...reacting } = reactions()

export default defineCluster({
  name: 'chaos',
  aggregates: [Account, ...aggregates],
  projections: projections(),
  ...reacting,
  dataDir: '../../.tmp/chaos',
  shards: 8,
  workers: 2,
  segmentBytes: 128 * 1024,
  limits: { activeActorsMax: 4 },
  timeouts: { askMs: 5_000 },
  // A thread has no `send`: it tells its warnings to the node, which is in the main thread.
  onWarning: (message) => void process.send?.({ kind: 'warning', message }),
})
