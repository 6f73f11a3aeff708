/** A plan for a cluster with projections: what befalls their handlers and their store, and what operators do with them. */
import fc from 'fast-check'
import type { ServerFault } from '../../../src/testing/simulated-server.ts'
import { clusterPlans, STRIKES_END_MS, type ClusterPlan } from '../cluster/plan.ts'
import { place } from '../plan.ts'
import { serverFault } from '../server-fault.ts'

const ORDERS = ['all', 'shard'] as const

/** An event whose handler fails: so often in a row, until operators have mended it, or for ever. */
export interface Trouble {
  readonly account: number
  readonly version: number
  readonly times: number | 'until mended' | 'for ever'
  /** Whether it has changed the model by then. */
  readonly isLate: boolean
  /** It does not fail but hangs, and goes on so much later, if it ever does. */
  readonly hangsMs: number | undefined
}

/** At one node, or at all. */
export interface Deed {
  readonly atMs: number
  readonly node: number | 'all'
  /** Of those of the plan, modulo their number. */
  readonly projection: number
  readonly does:
    | 'pause'
    | 'resume'
    | 'rebuild'
    | 'resume-rebuild'
    | 'abort-rebuild'
    | 'promote'
    | 'roll-back'
    | 'retry'
    | 'skip'
    | 'mend'
  /** Which account's parked events are meant. */
  readonly account: number
  readonly isOfRebuild: boolean
}

export interface ProjectionSetup {
  readonly onFailure: 'halt' | 'park'
  readonly order: 'all' | 'shard'
  readonly batchMax: number
  readonly retries: number
}

export interface Projecting {
  readonly projections: readonly ProjectionSetup[]
  readonly troubles: readonly Trouble[]
  readonly deeds: readonly Deed[]
  readonly storeFaults: readonly ServerFault[]
  /** Of so many acknowledged commands one is asked for at a read model. */
  readonly asksEvery: number
  /** Power is lost as soon as so many events have taken effect: whatever was seen and is not durable is gone then. */
  readonly losesPowerAt: number | undefined
}

export type ProjectionPlan = ClusterPlan & { readonly projecting: Projecting }

const trouble: fc.Arbitrary<Trouble> = fc.record({
  account: fc.oneof(fc.constant(0), fc.nat(4)),
  version: fc.integer({ min: 1, max: 12 }),
  times: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 5 }) },
    { weight: 1, arbitrary: fc.constantFrom('until mended' as const, 'for ever' as const) },
  ),
  isLate: fc.boolean(),
  hangsMs: fc.option(fc.constantFrom(100, 1_000, 1e9), { nil: undefined, freq: 2 }),
})

const atMs = fc.integer({ min: 500, max: STRIKES_END_MS })

const deed: fc.Arbitrary<Deed> = fc.record({
  atMs,
  node: fc.oneof(fc.constant('all' as const), place),
  projection: fc.nat(1),
  does: fc.constantFrom(
    ...(['pause', 'resume', 'rebuild', 'rebuild', 'rebuild', 'resume-rebuild', 'abort-rebuild'] as const),
    ...(['promote', 'roll-back', 'roll-back', 'retry', 'retry', 'skip', 'mend'] as const),
  ),
  account: fc.oneof(fc.constant(0), fc.nat(4)),
  isOfRebuild: fc.nat(3).map((nth) => nth === 3),
})

const storeFault = serverFault(atMs, ['refused', 'unheard', 'late', 'slow'])

const setup: fc.Arbitrary<ProjectionSetup> = fc.record({
  onFailure: fc.constantFrom('halt' as const, 'park' as const, 'park' as const),
  order: fc.constantFrom(...ORDERS),
  batchMax: fc.constantFrom(1, 3, 1_000),
  retries: fc.nat(2),
})

const projecting: fc.Arbitrary<Projecting> = fc.record({
  projections: fc.array(setup, { minLength: 1, maxLength: 2 }),
  troubles: fc.array(trouble, { maxLength: 5 }),
  deeds: fc.array(deed, { maxLength: 12, size: 'max' }),
  storeFaults: fc.array(storeFault, { maxLength: 5 }),
  asksEvery: fc.constantFrom(1, 3),
  losesPowerAt: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined, freq: 3 }),
})

/** Plans in which the cluster's nodes run projections while all that befalls them. */
export const projectionPlans: fc.Arbitrary<ProjectionPlan> = fc
  .tuple(clusterPlans, projecting)
  .map(([plan, of]) => ({ ...plan, projecting: of }))
