/** A plan for a cluster with reactors: what befalls their handlers, and what operators do with them. */
import fc from 'fast-check'
import { clusterPlans, STRIKES_END_MS, type ClusterPlan } from '../cluster/plan.ts'
import { place } from '../plan.ts'

/** An event whose handler fails: so often, or until operators have mended it. */
export interface ReactorTrouble {
  readonly account: number
  readonly version: number
  readonly times: number | 'until mended'
  /** Whether it has sent its command by then. */
  readonly isLate: boolean
  /** It does not fail but hangs, and goes on so much later, if it ever does. */
  readonly hangsMs: number | undefined
}

export interface ReactorDeed {
  readonly atMs: number
  readonly node: number
  readonly does: 'pause' | 'resume' | 'retry' | 'skip' | 'mend'
  /** Which account's parked events are meant. */
  readonly account: number
}

export interface Reacting {
  readonly onFailure: 'park' | 'halt'
  readonly retries: number
  readonly concurrency: number
  readonly troubles: readonly ReactorTrouble[]
  readonly deeds: readonly ReactorDeed[]
  /** Power is lost as soon as so many handlers have come to their end. */
  readonly losesPowerAt: number | undefined
}

export type ReactorPlan = ClusterPlan & { readonly reacting: Reacting }

const account = fc.oneof(fc.constant(0), fc.nat(4))

const trouble: fc.Arbitrary<ReactorTrouble> = fc.record({
  account,
  version: fc.integer({ min: 1, max: 12 }),
  times: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant('until mended' as const)),
  isLate: fc.boolean(),
  hangsMs: fc.option(fc.constantFrom(100, 1_000, 1e9), { nil: undefined, freq: 2 }),
})

const deed: fc.Arbitrary<ReactorDeed> = fc.record({
  atMs: fc.integer({ min: 500, max: STRIKES_END_MS }),
  node: place,
  does: fc.constantFrom('pause', 'resume', 'resume', 'retry', 'retry', 'skip', 'mend'),
  account,
})

const reacting: fc.Arbitrary<Reacting> = fc.record({
  onFailure: fc.constantFrom('park' as const, 'park' as const, 'halt' as const),
  retries: fc.nat(2),
  concurrency: fc.constantFrom(1, 2, 16),
  troubles: fc.array(trouble, { maxLength: 5 }),
  deeds: fc.array(deed, { maxLength: 10, size: 'max' }),
  losesPowerAt: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined, freq: 3 }),
})

/** Plans in which the cluster's nodes run a reactor while all that befalls them. */
export const reactorPlans: fc.Arbitrary<ReactorPlan> = fc
  .tuple(clusterPlans, reacting)
  .map(([plan, of]) => ({ ...plan, reacting: of }))

/** The same, with a synchronous reactor beside it. */
export const synchronousPlans: fc.Arbitrary<ReactorPlan> = reactorPlans.map((plan) => ({ ...plan, isStamped: true }))

/** The same, with a process beside the reactor. */
export const processPlans: fc.Arbitrary<ReactorPlan> = reactorPlans.map((plan) => ({ ...plan, isAudited: true }))
