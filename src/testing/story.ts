/**
 * Stories: what callers do to some aggregates, and what befalls the machine meanwhile. A story is a value of fast-check,
 * and all that happens follows from it: so it shrinks, and the same story can be told again.
 */
import * as fc from 'fast-check'
import { SPANS } from './span.ts'

/** A command to one of the aggregates. */
export interface CommandStep {
  readonly kind: 'command'
  readonly aggregate: number
  readonly name: string
  readonly payload: unknown
  readonly metadata: Readonly<Record<string, unknown>>
  /** The next step does not wait for its reply. */
  readonly isConcurrent: boolean
}

export type Step =
  | CommandStep
  /** One of the commands so far is sent once more, with the same id. */
  | { readonly kind: 'again'; readonly which: number; readonly isConcurrent: boolean }
  /** A while in which nothing happens. */
  | { readonly kind: 'pass'; readonly ms: number }
  /** All that is idle leaves memory. */
  | { readonly kind: 'passivate' }
  /** The process is stopped in good order and started again. */
  | { readonly kind: 'restart' }
  /** The process dies at one of its next steps at the disk, before or after it took effect. */
  | { readonly kind: 'die'; readonly at: number; readonly isAfter: boolean; readonly losesPower: boolean }
  /** One of the next writes fails, or finds no room. */
  | { readonly kind: 'disk'; readonly at: number; readonly fault: 'fail' | 'full' }

export interface Story {
  /** How often snapshots are written in this story. */
  readonly snapshotEvery: number | false
  readonly steps: readonly Step[]
  /** Chance of the machine: which of the bytes that were not synced survive. */
  readonly seed: number
}

/** What may befall the machine. */
export interface Faults {
  /** The process dies, at any step at the disk. */
  readonly crashes: boolean
  /** With the process, what was not synced is lost, torn and put out of order. */
  readonly powerLoss: boolean
  /** The process is stopped and started again. */
  readonly restarts: boolean
  /** Aggregates leave memory and are read back. */
  readonly passivation: boolean
  /** Snapshots are off, after each event, or now and then. Where it is off, as the aggregate says. */
  readonly snapshots: boolean
  /** Commands are sent again, with the same id. */
  readonly retries: boolean
  /** Commands are sent without waiting for the replies to earlier ones. */
  readonly concurrency: boolean
  /** Writes and syncs fail, or find no room. */
  readonly diskFaults: boolean
}

export const ALL_FAULTS: Faults = {
  crashes: true,
  powerLoss: true,
  restarts: true,
  passivation: true,
  snapshots: true,
  retries: true,
  concurrency: true,
  diskFaults: true,
}

export type FaultKind = keyof Faults

export function noFaults(): Record<FaultKind, number> {
  return Object.fromEntries(Object.keys(ALL_FAULTS).map((kind) => [kind, 0])) as Record<FaultKind, number>
}

/** Between two steps of a story, beside the time that is said to pass. */
export const STEP_MS = 1_000

export interface Cast {
  readonly commands: ReadonlyMap<string, fc.Arbitrary<unknown>>
  readonly metadata: fc.Arbitrary<Readonly<Record<string, unknown>>>
  readonly aggregates: number
  readonly stepsMax: number
  /** Milliseconds that pass at once; where it is false there are none but those between two steps. */
  readonly time?: fc.Arbitrary<number> | false
  /** The aggregate's own setting. An aggregate without snapshots has none in any story. */
  readonly snapshotEvery: number | false
}

/** The disk is asked for a handful of things by each command, and for some dozens by a start. */
const DISK_STEPS_MAX = 30

/** Of all other steps taken together there are about as many. */
const COMMAND_WEIGHT = 8

/** Stories of commands and time alone, for one decision after the other. */
export function calmStory(cast: Cast, faults: Faults): fc.Arbitrary<Story> {
  const command = { arbitrary: commandStep(cast, fc.constant(false)), weight: COMMAND_WEIGHT }
  return storyOf(cast, faults, fc.oneof(command, ...passStep(cast)))
}

/** Stories with everything in them that may happen. */
export function roughStory(cast: Cast, faults: Faults): fc.Arbitrary<Story> {
  const isConcurrent = faults.concurrency ? fc.boolean() : fc.constant(false)
  const at = fc.nat({ max: DISK_STEPS_MAX })
  const maybe = (isOn: boolean, arbitrary: fc.Arbitrary<Step>, weight = 1) => (isOn ? [{ arbitrary, weight }] : [])
  const step: fc.Arbitrary<Step> = fc.oneof(
    { arbitrary: commandStep(cast, isConcurrent), weight: COMMAND_WEIGHT },
    ...passStep(cast),
    ...maybe(
      faults.retries,
      fc.record({ kind: fc.constant('again'), which: fc.nat({ max: cast.stepsMax }), isConcurrent }),
    ),
    ...maybe(faults.passivation, fc.constant({ kind: 'passivate' })),
    ...maybe(faults.restarts, fc.constant({ kind: 'restart' })),
    ...maybe(
      faults.crashes,
      fc.record({
        kind: fc.constant('die'),
        at,
        isAfter: fc.boolean(),
        losesPower: faults.powerLoss ? fc.boolean() : fc.constant(false),
      }),
    ),
    ...maybe(
      faults.diskFaults,
      fc.record({ kind: fc.constant('disk'), at, fault: fc.constantFrom('fail' as const, 'full' as const) }),
    ),
  )
  return storyOf(cast, faults, step)
}

function storyOf(cast: Cast, faults: Faults, step: fc.Arbitrary<Step>): fc.Arbitrary<Story> {
  const { stepsMax, snapshotEvery } = cast
  // Without them first: a story that shrinks to one with snapshots is about snapshots.
  const often = fc.constantFrom<number | false>(false, 1, 2, 5)
  return fc.record({
    snapshotEvery: faults.snapshots && snapshotEvery !== false ? often : fc.constant(snapshotEvery),
    steps: fc.array(step, { minLength: 1, maxLength: stepsMax, size: 'max' }),
    seed: fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  })
}

function passStep({ time = SPANS }: Cast): { arbitrary: fc.Arbitrary<Step>; weight: number }[] {
  if (time === false) return []
  return [{ arbitrary: fc.record({ kind: fc.constant('pass'), ms: time }), weight: 2 }]
}

function commandStep(cast: Cast, isConcurrent: fc.Arbitrary<boolean>): fc.Arbitrary<CommandStep> {
  const { commands, metadata, aggregates } = cast
  // One aggregate gets most of it: what is spread thin does not add up to much.
  const aggregate = fc.oneof(
    { arbitrary: fc.constant(0), weight: 3 },
    { arbitrary: fc.nat({ max: aggregates - 1 }), weight: 1 },
  )
  const kinds = [...commands].map(([name, payload]) =>
    fc.record({
      kind: fc.constant('command' as const),
      name: fc.constant(name),
      payload,
      aggregate,
      metadata,
      isConcurrent,
    }),
  )
  return fc.oneof(...kinds)
}

/** The aggregates' ids: `a`, `b`, `c` … */
export function idOf(aggregate: number): string {
  return String.fromCodePoint(97 + aggregate)
}
