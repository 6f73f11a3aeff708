/** A plan for a cluster: what clients do at its nodes, and what befalls the nodes and everything between them. */
import fc from 'fast-check'
import type { ClusterFault } from '../../../src/testing/simulated-cluster.ts'
import { atMs, briefly, FAULTS as NODE_FAULTS, operation, place, type Operation } from '../plan.ts'

export interface ClusterPlan {
  readonly seed: number
  /** When the first node starts at each place. */
  readonly joinsAtMs: readonly number[]
  readonly workers: number
  readonly shards: number
  readonly snapshotEvery: number | false
  readonly segmentBytes: number
  readonly activeActorsMax: number
  readonly namesCommands: boolean
  readonly operations: readonly Operation[]
  readonly faults: readonly ClusterFault[]
}

const path = { from: place, to: place }

const FAULTS: { readonly [K in ClusterFault['kind']]: fc.Arbitrary<ClusterFault> } = {
  ...NODE_FAULTS,
  'drain-node': fc.record({ kind: fc.constant('drain-node' as const), atMs, place, forMs: briefly }),
  'cut-network': fc.record({ kind: fc.constant('cut-network' as const), atMs, ...path, forMs: briefly }),
  'reset-connections': fc.record({ kind: fc.constant('reset-connections' as const), atMs, ...path }),
  'refuse-connections': fc.record({ kind: fc.constant('refuse-connections' as const), atMs, place, forMs: briefly }),
  'leases-away': fc.record({ kind: fc.constant('leases-away' as const), atMs, forMs: briefly }),
  'leases-cut-off': fc.record({ kind: fc.constant('leases-cut-off' as const), atMs, place, forMs: briefly }),
}

const KINDS = Object.keys(FAULTS) as ClusterFault['kind'][]

/** Up to three kinds most of the time: what a few do to each other drowns in a mixture of all. */
const faults = fc
  .oneof(
    { weight: 3, arbitrary: fc.subarray(KINDS, { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.subarray(KINDS, { minLength: 1 }) },
  )
  .chain((kinds) => fc.array(fc.oneof(...kinds.map((kind) => FAULTS[kind])), { maxLength: 12, size: 'max' }))

const errand: fc.Arbitrary<Operation> = fc
  .record({ of: operation, burst: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 6 })) })
  .map(({ of, burst }) => ({ ...of, burst }))

/**
 * Plans in which commands are under way on a connection that goes bad while its acceptor loses its shards and gets them
 * back: what is sent first then comes long after what was sent again. Among all others this is rare.
 */
export const latePlans: fc.Arbitrary<ClusterPlan> = fc.record({
  seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  joinsAtMs: fc.constant([0, 0, 0]),
  workers: fc.constant(1),
  shards: fc.constantFrom(3, 8),
  snapshotEvery: fc.constant(false as const),
  segmentBytes: fc.constant(65_536),
  activeActorsMax: fc.constant(1000),
  namesCommands: fc.constant(false),
  operations: fc.array(errand, { minLength: 150, maxLength: 300, size: 'max' }),
  faults: fc
    .record({
      atMs: fc.integer({ min: 1_000, max: 3_000 }),
      lagMs: fc.integer({ min: -1_200, max: 600 }),
      forMs: fc.integer({ min: 900, max: 1_600 }),
    })
    .map(({ atMs: badAtMs, lagMs, forMs }): ClusterFault[] => [
      { kind: 'reset-connections', atMs: badAtMs, from: 0, to: 1 },
      { kind: 'leases-cut-off', atMs: Math.max(0, badAtMs + lagMs), place: 1, forMs },
    ]),
})

export const clusterPlans: fc.Arbitrary<ClusterPlan> = fc.record({
  seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  joinsAtMs: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5_000 })), { minLength: 2, maxLength: 3 }),
  workers: fc.integer({ min: 1, max: 2 }),
  shards: fc.constantFrom(3, 8),
  snapshotEvery: fc.constantFrom<number | false>(false, 1, 3, 20),
  segmentBytes: fc.constantFrom(1024, 4096, 65_536),
  activeActorsMax: fc.constantFrom(1, 3, 1000),
  namesCommands: fc.boolean(),
  operations: fc.array(errand, { minLength: 1, maxLength: 50, size: 'max' }),
  faults,
})
