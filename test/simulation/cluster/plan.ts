/** A plan for a cluster: what clients do at its nodes, and what befalls the nodes and everything between them. */
import fc from 'fast-check'
import type { ClusterFault } from '../../../src/testing/simulated-cluster.ts'
import { briefly, faultsAt, operation, place, type Operation } from '../plan.ts'
import type { Taking } from '../inboxes/plan.ts'
import type { Publishing } from '../outboxes/plan.ts'
import type { Projecting } from '../projections/plan.ts'
import type { Reacting } from '../reactors/plan.ts'

/** When something is done: at a time, or near a fault, which is where things go wrong. */
type When =
  | { readonly kind: 'at'; readonly ms: number }
  /** So long after a fault has struck or, for one that lasts, ended; of those that the plan has, modulo their number. */
  | { readonly kind: 'near'; readonly fault: number; readonly edge: 'begin' | 'end'; readonly ms: number }

export interface Errand extends Operation {
  readonly when: When
}

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
  /** Whether clients go to nodes that stand still as well, which find it in their hands when they wake up. */
  readonly clings: boolean
  /** Clients who do not name their commands ask again after so long, by the id that they are told then; else they let it be. */
  readonly impatienceMs?: number
  readonly operations: readonly Errand[]
  readonly faults: readonly ClusterFault[]
  /** How many read everything meanwhile; none where it is left out. */
  readonly readers?: number
  /** What the nodes' projections go through; none where it is left out. */
  readonly projecting?: Projecting
  /** What the nodes' reactor goes through; none where it is left out. */
  readonly reacting?: Reacting
  /** What the nodes' outboxes go through; none where it is left out. */
  readonly publishing?: Publishing
  /** What the nodes' inbox goes through; none where it is left out. */
  readonly taking?: Taking
  /** Whether the nodes run a process beside their reactor. */
  readonly isAudited?: boolean
  /** How often the gates turn at which another process of theirs asks; it is not there where this is left out. */
  readonly gatesTurnMs?: number
  /** At each so-manieth command to a gate its sender has grown too strict to send it; at none where this is left out. */
  readonly gateRefusesEvery?: number
  /** Nodes run a synchronous reactor as well. */
  readonly isStamped?: boolean
  /** Nodes run a reactor as well that replaces and cancels its timers. */
  readonly isShifting?: boolean
  /** A place whose nodes lack an event type, and the command that emits it, until then. */
  readonly older?: { readonly place: number; readonly untilMs: number }
}

/** Faults strike within this time, and have ended a while after it. */
export const STRIKES_MS = 3_500
export const STRIKES_END_MS: number = STRIKES_MS + 3_000
/** The first nodes know each other well before. */
export const FORMED_MS = 2_000
const JOINS_EARLY_MS = 400

/** Only some plans have it (unablePlans), so that all others stay what they are. */
type Rare = 'refuse-workers'
type Faults = { readonly [K in Exclude<ClusterFault['kind'], Rare>]: fc.Arbitrary<ClusterFault> }

const path = { from: place, to: place }

const faultsOfClusterAt = (atMs: fc.Arbitrary<number>): Faults => ({
  ...faultsAt(atMs),
  'drain-node': fc.record({ kind: fc.constant('drain-node' as const), atMs, place, forMs: briefly }),
  'isolate-node': fc.record({ kind: fc.constant('isolate-node' as const), atMs, place, forMs: briefly }),
  'cut-network': fc.record({ kind: fc.constant('cut-network' as const), atMs, ...path, forMs: briefly }),
  'slow-path': fc.record({
    kind: fc.constant('slow-path' as const),
    atMs,
    ...path,
    byMs: fc.integer({ min: 1, max: SLOW_PATH_MS }),
    forMs: briefly,
  }),
  'reset-connections': fc.record({ kind: fc.constant('reset-connections' as const), atMs, ...path }),
  'refuse-connections': fc.record({ kind: fc.constant('refuse-connections' as const), atMs, place, forMs: briefly }),
  'leases-away': fc.record({ kind: fc.constant('leases-away' as const), atMs, forMs: briefly }),
  'leases-late': fc.record({
    kind: fc.constant('leases-late' as const),
    atMs,
    byMs: fc.integer({ min: 1, max: LATE_LEASES_MS }),
    forMs: briefly,
  }),
  'leases-cut-off': fc.record({ kind: fc.constant('leases-cut-off' as const), atMs, place, forMs: briefly }),
})

export const SLOW_PATH_MS = 100
export const LATE_LEASES_MS = 250

type Kind = keyof Faults

/** Nobody fails because of these, and nobody waits long. */
export const GENTLE: readonly Kind[] = ['drain-node', 'slow-network', 'slow-path', 'set-clock', 'leases-late']
/** Nor fails because of these, once the nodes know each other. */
export const OF_THE_STORE: readonly Kind[] = ['leases-away', 'leases-hang', 'leases-forget']

/** One fault, or two in a row: the second strikes in the middle of what follows from the first. */
function faultsOf(kinds: readonly Kind[], fromMs: number): fc.Arbitrary<readonly ClusterFault[]> {
  const all = faultsOfClusterAt(fc.integer({ min: fromMs, max: STRIKES_MS }))
  const fault = fc.oneof(...kinds.map((kind) => all[kind]))
  const pair = fc
    .tuple(fault, fault, fc.integer({ min: 0, max: 60 }))
    .map(([first, second, ms]) => [first, { ...second, atMs: first.atMs + ms }])
  const group = fc.oneof({ weight: 2, arbitrary: fault.map((one) => [one]) }, { weight: 1, arbitrary: pair })
  return fc.array(group, { minLength: 1, maxLength: 7, size: 'max' }).map((groups) => groups.flat())
}

const ROUGH = Object.keys(faultsOfClusterAt(fc.constant(0))) as Kind[]

/**
 * Up to three kinds most of the time (swarm testing, Groce et al., 2012): what a few do to each other drowns in a mixture
 * of all.
 */
const rough = fc
  .oneof(
    { weight: 4, arbitrary: fc.subarray(ROUGH, { minLength: 1, maxLength: 3 }) },
    { weight: 1, arbitrary: fc.subarray(ROUGH, { minLength: 1 }) },
  )
  .chain((kinds) => faultsOf(kinds, 0))

const gentle = fc.subarray([...GENTLE], { minLength: 1, maxLength: 3 }).chain((kinds) => faultsOf(kinds, 0))

/** The lease store fails, and little else is wrong. */
const storeOnly = fc
  .tuple(fc.subarray([...OF_THE_STORE], { minLength: 1 }), fc.subarray([...GENTLE], { maxLength: 1 }))
  .chain(([some, others]) => faultsOf([...some, ...others], FORMED_MS))

const when: fc.Arbitrary<When> = fc.oneof(
  fc.record({ kind: fc.constant('at' as const), ms: fc.integer({ min: 0, max: STRIKES_MS + 1_000 }) }),
  fc.record({
    kind: fc.constant('near' as const),
    fault: fc.nat(13),
    edge: fc.constantFrom('begin' as const, 'end' as const),
    ms: fc.oneof(fc.integer({ min: -20, max: 100 }), fc.integer({ min: -500, max: 1_500 })),
  }),
)

const row = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ burst: 1, gapMs: 0 }) },
  {
    weight: 1,
    arbitrary: fc.record({
      burst: fc.integer({ min: 2, max: 10 }),
      gapMs: fc.constantFrom(0, 0.3, 2, 15),
    }),
  },
)

const errand: fc.Arbitrary<Errand> = fc
  .record({ of: operation, row, when, isEchoed: fc.nat(5).map((nth) => nth === 5) })
  .map(({ of, row: { burst, gapMs }, ...rest }) => ({ ...of, thinkMs: 0, burst, gapMs, ...rest }))

/** Two or three nodes that join until then. */
const joinsUntil = (ms: number): fc.Arbitrary<readonly number[]> =>
  fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: ms })), { minLength: 2, maxLength: 3 })

const plansWith = (
  joinsAtMs: fc.Arbitrary<readonly number[]>,
  faults: fc.Arbitrary<readonly ClusterFault[]>,
): fc.Arbitrary<ClusterPlan> =>
  fc.record({
    seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
    joinsAtMs,
    workers: fc.integer({ min: 1, max: 2 }),
    shards: fc.constantFrom(3, 8),
    snapshotEvery: fc.constantFrom<number | false>(false, 1, 3, 20),
    segmentBytes: fc.constantFrom(1024, 4096, 65_536),
    activeActorsMax: fc.constantFrom(1, 3, 1000),
    namesCommands: fc.boolean(),
    clings: fc.boolean(),
    operations: fc.array(errand, { minLength: 1, maxLength: 60, size: 'max' }),
    faults,
  })

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
  clings: fc.constant(false),
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

/** The same, and nobody loses a shard: late copies come to the owner that has had the later ones. */
export const resetPlans: fc.Arbitrary<ClusterPlan> = latePlans.map(({ faults, ...plan }) => ({
  ...plan,
  faults: faults.filter(({ kind }) => kind === 'reset-connections'),
}))

/** The same, with callers who do not wait for so long, and ask again by the id that they are told, wherever they find somebody. */
export const impatientPlans: fc.Arbitrary<ClusterPlan> = fc
  .record({ plan: resetPlans, impatienceMs: fc.integer({ min: 20, max: 400 }) })
  .map(({ plan, impatienceMs }) => ({ ...plan, impatienceMs }))

/** Nodes that cannot serve what they are given: no worker of theirs starts for a while, or their definitions are older. */
export const unablePlans: fc.Arbitrary<ClusterPlan> = fc
  .record({
    plan: plansWith(joinsUntil(1_000), faultsOf(['drain-node', 'kill-node', 'kill-worker', 'isolate-node'], 500)),
    refusals: fc.array(
      fc.record({
        kind: fc.constant('refuse-workers' as const),
        atMs: fc.integer({ min: 500, max: STRIKES_MS }),
        place,
        forMs: fc.integer({ min: 1, max: 3_000 }),
      }),
      { maxLength: 3 },
    ),
    older: fc.record({ place, untilMs: fc.constantFrom(3_000, STRIKES_END_MS, Number.MAX_SAFE_INTEGER) }),
  })
  .map(({ plan, refusals, older }) => ({ ...plan, older, faults: [...plan.faults, ...refusals] }))

/** Those in which nobody may fail have a share of their own. */
export const clusterPlans: fc.Arbitrary<ClusterPlan> = fc.oneof(
  { weight: 6, arbitrary: plansWith(joinsUntil(3_000), rough) },
  { weight: 3, arbitrary: plansWith(joinsUntil(3_000), gentle) },
  { weight: 1, arbitrary: plansWith(joinsUntil(JOINS_EARLY_MS), storeOnly) },
)

/** Plans in which some read everything while all this befalls the nodes. */
export const readPlans: fc.Arbitrary<ClusterPlan> = fc
  .tuple(clusterPlans, fc.integer({ min: 1, max: 3 }))
  .map(([plan, readers]) => ({ ...plan, readers }))

/** Whether nothing is broken that callers depend on. */
export function isGentle({ faults, joinsAtMs, older, projecting, reacting, publishing }: ClusterPlan): boolean {
  const losesPowerAt = projecting?.losesPowerAt ?? reacting?.losesPowerAt ?? publishing?.losesPowerAt
  if (older !== undefined || losesPowerAt !== undefined) return false
  const rest = faults.filter(({ kind }) => !GENTLE.some((one) => one === kind))
  if (rest.length === 0) return true
  // Where all end while the store is away, nobody has what they had.
  if (faults.filter(({ kind }) => kind === 'drain-node').length > 1) return false
  const formedAtMs = Math.max(...joinsAtMs) + FORMED_MS - JOINS_EARLY_MS
  return rest.every(({ kind, atMs }) => OF_THE_STORE.some((one) => one === kind) && atMs >= formedAtMs)
}

/** The operations with their times, in the order of these. */
export function timed({ operations, faults: all }: ClusterPlan): readonly Operation[] {
  const timeOf = (at: When): number => {
    const fault = at.kind === 'near' ? all[at.fault % Math.max(1, all.length)] : undefined
    if (at.kind === 'at' || fault === undefined) return at.ms
    const lasts = at.edge === 'end' && 'forMs' in fault ? fault.forMs : 0
    return Math.max(0, fault.atMs + lasts + at.ms)
  }
  return operations.map((each) => ({ ...each, atMs: timeOf(each.when) })).toSorted((a, b) => a.atMs - b.atMs)
}
