/** A plan for a cluster with an inbox: what others send it, what befalls that and who has it, and what operators do. */
import fc from 'fast-check'
import type { ServerFault } from '../../../src/testing/simulated-server.ts'
import { clusterPlans, STRIKES_END_MS, STRIKES_MS, type ClusterPlan } from '../cluster/plan.ts'
import { place } from '../plan.ts'
import { serverFault } from '../server-fault.ts'

/** What somebody sends. */
export interface Letter {
  readonly atMs: number
  readonly till: number
  /** `again`: what the letter before it said, where that is known by an id of its own. `unreadable`: until it is mended. */
  readonly kind: 'payment' | 'again' | 'not for us' | 'unreadable'
}

/** What is removed from the row: all but the last so many, or one of those that are left, modulo their number. */
export interface Removal {
  readonly atMs: number
  readonly does: 'trim' | 'delete'
  readonly number: number
}

export interface InboxDeed {
  readonly atMs: number
  readonly node: number
  /** A till that is closed takes no payments. */
  readonly does: 'close' | 'open' | 'retry' | 'skip' | 'mend'
  readonly till: number
}

export interface Taking {
  readonly onFailure: 'park' | 'halt'
  readonly onRejection: 'fail' | 'pass'
  readonly batchMax: number
  readonly concurrency: number
  readonly letters: readonly Letter[]
  readonly removals: readonly Removal[]
  readonly deeds: readonly InboxDeed[]
  readonly brokerFaults: readonly ServerFault[]
}

export type InboxPlan = ClusterPlan & { readonly taking: Taking }

/** That there are. */
export const TILLS = 4
/** Tills are closed and opened for so much longer than what one node sends to the other waits. */
const TURNED_AROUND_MS = 600

const till = fc.oneof(fc.constant(0), fc.nat(3))
const atMs = fc.integer({ min: 500, max: STRIKES_END_MS })

const letter: fc.Arbitrary<Letter> = fc.record({
  atMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: STRIKES_END_MS })),
  till,
  kind: fc.constantFrom('payment', 'payment', 'payment', 'payment', 'payment', 'again', 'not for us', 'unreadable'),
})

const removal: fc.Arbitrary<Removal> = fc.record({
  atMs,
  does: fc.constantFrom('trim' as const, 'delete' as const),
  number: fc.nat(20),
})

const deed: fc.Arbitrary<InboxDeed> = fc.record({
  atMs,
  node: place,
  does: fc.constantFrom('close', 'close', 'open', 'retry', 'retry', 'skip', 'mend'),
  till,
})

const taking: fc.Arbitrary<Taking> = fc.record({
  onFailure: fc.constantFrom('park' as const, 'park' as const, 'halt' as const),
  onRejection: fc.constantFrom('fail' as const, 'fail' as const, 'pass' as const),
  batchMax: fc.constantFrom(1, 3, 500),
  concurrency: fc.constantFrom(1, 2, 64),
  letters: fc.array(letter, { minLength: 1, maxLength: 60, size: 'max' }),
  removals: fc.oneof(
    { weight: 2, arbitrary: fc.constant<readonly Removal[]>([]) },
    { weight: 1, arbitrary: fc.array(removal, { minLength: 1, maxLength: 5 }) },
  ),
  deeds: fc.array(deed, { maxLength: 12, size: 'max' }),
  brokerFaults: fc.array(serverFault(atMs, ['refused', 'unheard', 'slow']), { maxLength: 5 }),
})

/** Plans in which the cluster's nodes run an inbox while all that befalls them. */
export const inboxPlans: fc.Arbitrary<InboxPlan> = fc
  .tuple(clusterPlans, taking)
  .map(([plan, of]) => ({ ...plan, taking: of }))

/**
 * Plans in which what one node sends to the other waits while it takes messages, and the inbox moves: it comes once the other
 * has been told what became of the same messages, and may have passed what was rejected.
 */
export const refusedInboxPlans: fc.Arbitrary<InboxPlan> = fc
  .record({
    plan: inboxPlans,
    cutAtMs: fc.integer({ min: 1_000, max: STRIKES_MS }),
    from: fc.nat(1),
    forMs: fc.integer({ min: 1_700, max: 2_700 }),
    letters: fc.array(fc.record({ afterMs: fc.integer({ min: -50, max: 900 }), till }), {
      minLength: 30,
      maxLength: 60,
    }),
    turnMs: fc.constantFrom(30, 70),
  })
  .map(({ plan, cutAtMs, from, forMs, letters, turnMs }) => ({
    ...plan,
    joinsAtMs: [0, 0],
    namesCommands: false,
    operations: plan.operations.slice(0, 5),
    faults: [
      { kind: 'cut-network', atMs: cutAtMs, from, to: 1 - from, forMs },
      { kind: 'leases-cut-off', atMs: cutAtMs, place: from, forMs },
    ],
    taking: {
      ...plan.taking,
      onRejection: 'pass',
      letters: letters.map(({ afterMs, ...of }) => ({ ...of, atMs: cutAtMs + afterMs, kind: 'payment' })),
      removals: [],
      brokerFaults: [],
      deeds: Array.from({ length: Math.floor((forMs + TURNED_AROUND_MS) / turnMs) }, (_, i) => {
        const does = Math.floor(i / TILLS) % 2 === 0 ? ('close' as const) : ('open' as const)
        return { atMs: cutAtMs - TURNED_AROUND_MS / 2 + i * turnMs, node: 1 - from, does, till: i % TILLS }
      }),
    },
  }))
