/**
 * A plan in which a log is harmed: turns, one after the other. In each a node lives for a while, ends, files are harmed, and
 * what is harmed is put back, repaired or given up, or left as it is for the next life.
 */
import fc from 'fast-check'
import { operation, withStreams, type Operation } from '../plan.ts'
import type { Harm } from './harms.ts'

export type Mending = 'none' | 'put-back' | 'repair' | 'accept'

export interface Turn {
  readonly operations: readonly Operation[]
  /** How long the node lives. */
  readonly forMs: number
  /** Harmed at such a time of its life. */
  readonly harmed: readonly { readonly atMs: number; readonly harm: Harm }[]
  /** What is harmed is put back while it lives. */
  readonly putBackAtMs?: number | undefined
  /** A worker's thread ends, and its shards are taken over by the next. */
  readonly workerEndsAtMs?: number | undefined
  readonly end: 'kill' | 'close' | 'power-loss'
  /** Harmed while nobody lives. */
  readonly harms: readonly Harm[]
  readonly mending: Mending
  /** Power is lost after the mending. */
  readonly losesPower: boolean
}

export interface DamagePlan {
  readonly seed: number
  readonly workers: number
  readonly snapshotEvery: number | false
  readonly segmentBytes: number
  readonly activeActorsMax: number
  readonly namesCommands: boolean
  readonly turns: readonly Turn[]
  /** The harms, and how they were mended, to be counted. */
  readonly faults: readonly { readonly kind: string }[]
}

const LIFE_MS = 2_000

const harm: fc.Arbitrary<Harm> = fc.record({
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Harm['kind'][]>('flip-bit', 'smash') },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Harm['kind'][]>(
        'cut-end',
        'zero-end',
        'lose-segment',
        'lose-index',
        'flip-index',
        'lose-end-and-index',
      ),
    },
  ),
  file: fc.nat(999),
  at: fc.nat(9_999),
  within: fc.nat(9_999),
  bytes: fc.integer({ min: 2, max: 400 }),
  fill: fc.constantFrom(0, 0xaa, 0xff),
})

const during = fc.integer({ min: 0, max: LIFE_MS })

const turn: fc.Arbitrary<Turn> = fc.record({
  operations: fc
    .tuple(
      fc.array(
        operation.map((given): Operation => ({ ...given, thinkMs: given.thinkMs / 4 })),
        { maxLength: 14, size: 'max' },
      ),
      fc.boolean(),
    )
    .map(([operations, byName]) => (byName ? withStreams(operations) : operations)),
  forMs: fc.integer({ min: 50, max: LIFE_MS }),
  harmed: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.record({ atMs: during, harm }), { maxLength: 2 }) },
  ),
  putBackAtMs: fc.option(during, { nil: undefined, freq: 3 }),
  workerEndsAtMs: fc.option(during, { nil: undefined, freq: 3 }),
  end: fc.constantFrom('kill' as const, 'close' as const, 'power-loss' as const),
  harms: fc.array(harm, { maxLength: 3 }),
  mending: fc.constantFrom<Mending[]>('none', 'none', 'put-back', 'repair', 'accept'),
  losesPower: fc.boolean(),
})

/** What there is to be counted of a plan. */
function faultsOf(turns: readonly Turn[]): DamagePlan['faults'] {
  return turns.flatMap(({ harmed, harms, mending }) => [
    ...harmed.map(({ harm: { kind } }) => ({ kind: `${kind}, alive` })),
    ...harms,
    ...(mending === 'none' ? [] : [{ kind: mending }]),
  ])
}

export const damagePlans: fc.Arbitrary<DamagePlan> = fc
  .record({
    seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
    workers: fc.integer({ min: 1, max: 2 }),
    snapshotEvery: fc.constantFrom<number | false>(false, 1, 3, 10),
    segmentBytes: fc.constantFrom(1024, 2048, 4096, 65_536),
    activeActorsMax: fc.constantFrom(1, 3, 1000),
    namesCommands: fc.boolean(),
    turns: fc.array(turn, { minLength: 1, maxLength: 6, size: 'max' }),
  })
  .map((plan) => ({ ...plan, faults: faultsOf(plan.turns) }))
