/** A plan for a cluster with reactors: what befalls their handlers, and what operators do with them. */
import fc from 'fast-check'
import { clusterPlans, STRIKES_END_MS, STRIKES_MS, type ClusterPlan } from '../cluster/plan.ts'
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

/** The same, with a reactor beside it that replaces and cancels its timers. */
export const shiftingPlans: fc.Arbitrary<ReactorPlan> = reactorPlans.map((plan) => ({ ...plan, isShifting: true }))

/** The same, with two processes beside the reactor. */
export const processPlans: fc.Arbitrary<ReactorPlan> = fc
  .tuple(reactorPlans, fc.constantFrom(40, 150, 600))
  .map(([plan, gatesTurnMs]) => ({ ...plan, isAudited: true, gatesTurnMs }))

/**
 * Plans in which what a node sends to another waits in the middle of much that its processes send, while its shards move: it
 * comes once their successors have been told what became of the same, and may have been refused.
 */
export const refusedPlans: fc.Arbitrary<ReactorPlan> = fc
  .record({
    plan: processPlans,
    gatesTurnMs: fc.constantFrom(20, 60),
    atMs: fc.integer({ min: 1_000, max: STRIKES_MS }),
    from: fc.nat(2),
    further: fc.integer({ min: 1, max: 2 }),
    forMs: fc.integer({ min: 1_700, max: 2_700 }),
    sentAtMs: fc.array(fc.integer({ min: -50, max: 900 }), { minLength: 20, maxLength: 20 }),
  })
  .map(({ plan, gatesTurnMs, atMs, from, further, forMs, sentAtMs }) => ({
    ...plan,
    isAudited: false,
    gatesTurnMs,
    joinsAtMs: [0, 0, 0],
    faults: [
      { kind: 'cut-network', atMs, from, to: (from + further) % 3, forMs },
      { kind: 'leases-cut-off', atMs, place: from, forMs },
    ],
    operations: plan.operations.slice(0, sentAtMs.length).map((each, i) => {
      const when = { kind: 'near', fault: 0, edge: 'begin', ms: sentAtMs[i]! } as const
      return { ...each, when, burst: 4, gapMs: 2 }
    }),
  }))

/**
 * Plans in which power is lost in the middle of much that processes send: what was accepted by then, and is not recorded, cannot be
 * sent again by the code that comes next.
 */
export const strictPlans: fc.Arbitrary<ReactorPlan> = fc
  .record({
    plan: processPlans,
    gatesTurnMs: fc.constantFrom(20, 150),
    gateRefusesEvery: fc.integer({ min: 2, max: 3 }),
    lossesAtMs: fc.array(fc.integer({ min: 1_000, max: STRIKES_MS }), { minLength: 1, maxLength: 3 }),
    sentAtMs: fc.array(fc.integer({ min: -60, max: 0 }), { minLength: 20, maxLength: 20 }),
  })
  .map(({ plan: { older: _older, ...plan }, gatesTurnMs, gateRefusesEvery, lossesAtMs, sentAtMs }) => ({
    ...plan,
    isAudited: false,
    gatesTurnMs,
    gateRefusesEvery,
    faults: lossesAtMs.map((atMs) => ({ kind: 'power-loss', atMs }) as const),
    operations: plan.operations.slice(0, sentAtMs.length).map((each, i) => {
      const when = { kind: 'near', fault: i, edge: 'begin', ms: sentAtMs[i]! } as const
      return { ...each, when, burst: 4, gapMs: 2 }
    }),
  }))
