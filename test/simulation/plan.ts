/** A plan: what clients do and what goes wrong, as a value of fast-check that shrinks. */
import fc from 'fast-check'
import type { SimulatedFault } from '../../src/testing/simulation.ts'

export interface Operation {
  readonly client: number
  readonly account: number
  readonly name: 'deposit' | 'transferIn' | 'withdraw' | 'look' | 'view' | 'past'
  readonly amount: number
  /** How long the client thinks before. */
  readonly thinkMs: number
  /** It is not done earlier. */
  readonly atMs?: number
  /** So many of it in a row, without waiting for answers; one where it is left out. */
  readonly burst?: number
  /** Between two of a row. */
  readonly gapMs?: number
  /** Whether every node is asked what it shows as soon as it is done. */
  readonly isEchoed?: boolean
  /** Whether it goes to the stream by name, past the aggregate's commands. */
  readonly isDirect?: boolean
  /** The stream it goes to, where that is no account's. */
  readonly ledger?: string
}

export function streamOf({ account, ledger }: Operation): string {
  return ledger ?? `account/${account}`
}

/** The same operations, some of them by the event store: all on some streams, which are ledgers then, and half of the others. */
export function withStreams<O extends Operation>(operations: readonly O[]): readonly O[] {
  return operations.map((given, i) => {
    const { account, name } = given
    if (account >= 3) return { ...given, isDirect: true, ledger: `ledger/${account}` }
    return { ...given, isDirect: i % 2 === 0 && name !== 'withdraw' && name !== 'look' }
  })
}

export interface Plan {
  readonly seed: number
  readonly places: number
  readonly workers: number
  readonly snapshotEvery: number | false
  readonly segmentBytes: number
  readonly activeActorsMax: number
  /** Whether clients name their commands, and so can ask again after a silence; if not, they let it be. */
  readonly namesCommands: boolean
  readonly operations: readonly Operation[]
  readonly faults: readonly SimulatedFault[]
}

/** Faults strike within this time; operations spread over it as well. */
const STRIKES_MS = 6_000

export const operation: fc.Arbitrary<Operation> = fc.record({
  client: fc.nat(9),
  // One that is hot, and others.
  account: fc.oneof(fc.constant(0), fc.nat(4)),
  name: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('deposit' as const, 'transferIn' as const, 'withdraw' as const) },
    { weight: 2, arbitrary: fc.constantFrom('view' as const) },
    { weight: 1, arbitrary: fc.constantFrom('look' as const, 'past' as const) },
  ),
  amount: fc.integer({ min: 1, max: 20 }),
  thinkMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 800 })),
})

export const place = fc.nat(2)
const worker = fc.nat(1)
/** How long a fault lasts. */
export const briefly = fc.integer({ min: 1, max: 3_000 })
const step = fc.constantFrom(
  ...(['createExclusive', 'createMark', 'createFolder', 'createLog', 'replace', 'remove'] as const),
  ...(['openRead', 'list', 'write', 'sync', 'truncate', 'read'] as const),
)

type Faults = { readonly [K in SimulatedFault['kind']]: fc.Arbitrary<SimulatedFault> }

/** By kind, so that a plan can have some kinds and not others: rare ones would drown in a mixture of all. */
export const faultsAt = (atMs: fc.Arbitrary<number>): Faults => ({
  'kill-node': fc.record({ kind: fc.constant('kill-node' as const), atMs, place }),
  'stop-node': fc.record({ kind: fc.constant('stop-node' as const), atMs, place, forMs: briefly }),
  'kill-worker': fc.record({ kind: fc.constant('kill-worker' as const), atMs, place, worker }),
  'stop-worker': fc.record({ kind: fc.constant('stop-worker' as const), atMs, place, worker, forMs: briefly }),
  'strike-step': fc.record({
    kind: fc.constant('strike-step' as const),
    atMs,
    place,
    step,
    fault: fc.constantFrom(...(['fail', 'full', 'stop', 'kill', 'end-thread'] as const)),
    forMs: briefly,
  }),
  'power-loss': fc.record({ kind: fc.constant('power-loss' as const), atMs }),
  'disk-full': fc.record({ kind: fc.constant('disk-full' as const), atMs, forMs: briefly }),
  'slow-disk': fc.record({ kind: fc.constant('slow-disk' as const), atMs, forMs: briefly }),
  'slow-network': fc.record({ kind: fc.constant('slow-network' as const), atMs, forMs: briefly }),
  'set-clock': fc.record({
    kind: fc.constant('set-clock' as const),
    atMs,
    place,
    byMs: fc.integer({ min: -3_600_000, max: 3_600_000 }),
  }),
  'leases-forget': fc.record({ kind: fc.constant('leases-forget' as const), atMs }),
  'leases-hang': fc.record({ kind: fc.constant('leases-hang' as const), atMs, forMs: briefly }),
  'leases-grant-twice': fc.record({ kind: fc.constant('leases-grant-twice' as const), atMs }),
})

const FAULTS = faultsAt(fc.integer({ min: 0, max: STRIKES_MS }))

const KINDS = Object.keys(FAULTS) as SimulatedFault['kind'][]

/** Some kinds of faults (swarm testing, Groce et al., 2012), and up to 14 of them. */
const faults = fc
  .subarray(KINDS, { minLength: 1 })
  .chain((kinds) => fc.array(fc.oneof(...kinds.map((kind) => FAULTS[kind])), { maxLength: 14, size: 'max' }))

export const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  places: fc.integer({ min: 1, max: 3 }),
  workers: fc.integer({ min: 1, max: 2 }),
  snapshotEvery: fc.constantFrom<number | false>(false, 1, 3, 10),
  segmentBytes: fc.constantFrom(1024, 4096, 65_536),
  activeActorsMax: fc.constantFrom(1, 3, 1000),
  namesCommands: fc.boolean(),
  operations: fc.array(operation, { minLength: 1, maxLength: 60, size: 'max' }),
  faults,
})
