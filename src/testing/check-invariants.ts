/**
 * Random stories of an aggregate, through the decider alone and through the real runtime; and the shortest story in
 * which something does not hold.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import * as fc from 'fast-check'
import type { Aggregate, CommandName, PayloadOf } from '../aggregate/aggregate.ts'
import { PenholdError } from '../aggregate/error.ts'
import { arbitraryOf } from './arbitrary-of.ts'
import { checkOptions } from './check-options.ts'
import { runDecider, type Telling } from './decider-run.ts'
import { Broken, type Invariants } from './invariant.ts'
import { runRuntime } from './runtime-run.ts'
import { shorten } from './shorten.ts'
import { ALL_FAULTS, calmStory, roughStory, type Cast, type FaultKind, type Faults, type Story } from './story.ts'
import { Tally, type CommandCount } from './tally.ts'
import { Transcript } from './transcript.ts'

/** Commands whose payloads nothing but an arbitrary can tell. */
type Untold<A extends Aggregate> = {
  [K in CommandName<A>]: K extends keyof A['schemas'] ? never : undefined extends PayloadOf<A, K> ? never : K
}[CommandName<A>]

/** An arbitrary of a command's payloads, or `false` to leave the command out. */
type PayloadArbitrary<A extends Aggregate, K extends CommandName<A>> = fc.Arbitrary<PayloadOf<A, K>> | false

/** An arbitrary for each command. Those with a schema can do without, where its values can be derived. */
export type CommandArbitraries<A extends Aggregate> = {
  readonly [K in Untold<A>]: PayloadArbitrary<A, K>
} & { readonly [K in Exclude<CommandName<A>, Untold<A>>]?: PayloadArbitrary<A, K> }

export interface InvariantOptions<A extends Aggregate> {
  readonly commands: CommandArbitraries<A>
  /** By the sentence that each of them is. */
  readonly invariants?: Invariants<A>
  /** The metadata that commands come with. Default: none. */
  readonly metadata?: fc.Arbitrary<Readonly<Record<string, unknown>>>
  /** How many aggregates the commands go to. Default 2. */
  readonly aggregates?: number
  /** Commands and misfortunes of one story. Default 20. */
  readonly stepsMax?: number
  /**
   * How much time passes now and then, in milliseconds, beside the second between two steps. Default: from a second to a
   * year; `false` for none.
   */
  readonly time?: fc.Arbitrary<number> | false
  /** Stories through the runtime; through the decider alone go five times as many. Default 100. */
  readonly numRuns?: number
  /** Tell stories through one of the two alone. */
  readonly only?: Phase
  /** Of a failure that is to be seen again, together with its `path`. */
  readonly seed?: number
  readonly path?: string
  /** No new story is begun after so long, and none is made shorter. Default: 4 s, or no limit where `numRuns` is given. */
  readonly timeLimitMs?: number
  /** What may befall the machine. Default: everything; `false` for nothing. */
  readonly faults?: Partial<Faults> | false
}

/** What was tried. */
export interface InvariantReport {
  readonly seed: number
  readonly stories: { readonly decider: number; readonly runtime: number }
  /** Stories that were asked for, and for which there was no time. */
  readonly cut: { readonly decider: number; readonly runtime: number }
  /** Those that were sent, not counting retries. */
  readonly commands: number
  /** What came of them, by command. */
  readonly outcomes: Readonly<Record<string, CommandCount>>
  /** By type, how many there were of each. */
  readonly events: Readonly<Record<string, number>>
  /** How often time passed. */
  readonly passes: number
  /** What befell the machine, by kind, and how often. */
  readonly faults: Readonly<Record<FaultKind, number>>
}

/** Something does not hold. The message tells the shortest story that was found, and how to see it again. */
export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken'
  readonly seed: number
  readonly path: string

  constructor(message: string, at: { readonly seed: number; readonly path: string }) {
    super(message)
    this.seed = at.seed
    this.path = at.path
  }
}

type Phase = 'decider' | 'runtime'
type Tell = (telling: Telling) => void | Promise<void>

const PATH = /^(decider|runtime)\/([\d:]+)$/

const DECIDER_RUNS = 5
const WHERE: Readonly<Record<Phase, string>> = { decider: 'the decider alone', runtime: 'the runtime' }
/** Of the stories that were asked for; told fewer, somebody should know. */
const FEW = 0.1
/** Proposed where a story could not be made as short as can be. */
const MORE_TIME_MS = 60_000
/** Test runners have patience for five seconds. */
const TIME_LIMIT_MS = 4_000

/**
 * Looks for a story in which an invariant breaks, or one of the promises that every aggregate makes: handlers never
 * throw, they are pure, states are plain data, and a state that was read back from a snapshot or from events is as good
 * as the one in memory.
 *
 * Stories go through the decider alone first, one command after the other; then through the real runtime on a simulated
 * disk, with commands at the same time, retries, crashes, power loss, restarts, passivation and snapshots.
 *
 * @throws InvariantBroken with the shortest story; another error where the search could not have found anything: no
 * command ever led to an event, or the time was up before a story was told
 */
export async function checkInvariants<A extends Aggregate>(
  aggregate: A,
  options: InvariantOptions<A>,
): Promise<InvariantReport> {
  checkOptions(options)
  const search = new Search(aggregate, options)
  await search.run('decider', (telling) => runDecider(telling))
  await search.run('runtime', (telling) => runRuntime(telling))
  // One story that is told again may well be one in which nothing is accepted.
  if (options.path === undefined) search.checkWhatWasTried()
  return search.report()
}

/** A story that did not end well: what is wrong, and how it came to that. */
class StoryFailed extends Error {
  readonly transcript: Transcript

  constructor(problem: string, transcript: Transcript) {
    super(problem)
    this.transcript = transcript
  }
}

class Search {
  readonly seed: number
  readonly #stories: Record<Phase, number> = { decider: 0, runtime: 0 }
  /** Stories, and shorter ones of those that failed, that were not told as the time was up. */
  readonly #cut: Record<Phase, number> = { decider: 0, runtime: 0 }
  #commands = 0
  readonly #tally: Tally
  readonly #aggregate: Aggregate
  readonly #options: InvariantOptions<Aggregate>
  readonly #cast: Cast
  readonly #misfortunes: Faults
  readonly #timeLimitMs: number
  readonly #endsAt: Readonly<Record<Phase, number>>

  constructor(aggregate: Aggregate, options: InvariantOptions<Aggregate>) {
    const limitMs = options.numRuns === undefined ? TIME_LIMIT_MS : Number.POSITIVE_INFINITY
    const { seed, timeLimitMs = limitMs, aggregates = 2, stepsMax = 20, metadata = fc.constant({}) } = options
    this.#timeLimitMs = timeLimitMs
    this.seed = seed ?? Math.floor(Math.random() * 2 ** 31)
    this.#aggregate = aggregate
    this.#options = options
    this.#misfortunes = faultsOf(options.faults)
    const { snapshotEvery } = aggregate
    const commands = arbitrariesOf(aggregate, options.commands)
    const { time } = options
    this.#cast = { commands, metadata, aggregates, stepsMax, snapshotEvery, ...(time !== undefined && { time }) }
    this.#tally = new Tally(aggregate, commands.keys())
    const now = performance.now()
    // The decider's stories, which are many and quick, leave half of the time to those of the runtime.
    this.#endsAt = { decider: now + timeLimitMs / 2, runtime: now + timeLimitMs }
  }

  get #phases(): readonly Phase[] {
    const { only } = this.#options
    return only === undefined ? ['decider', 'runtime'] : [only]
  }

  /** @throws InvariantBroken */
  async run(phase: Phase, tell: Tell): Promise<void> {
    const { numRuns = 100, path } = this.#options
    const given = path === undefined ? undefined : PATH.exec(path)
    if (given === null) throw new Error(`path is '${path}'; give one that a failure has told, such as 'runtime/3:0:1'`)
    if (given === undefined ? !this.#phases.includes(phase) : given[1] !== phase) return
    const arbitrary =
      phase === 'decider' ? calmStory(this.#cast, this.#misfortunes) : roughStory(this.#cast, this.#misfortunes)
    const property = fc.asyncProperty(arbitrary, async (story) => {
      const failed = await this.#tell(phase, story, tell)
      if (failed !== undefined) throw failed
    })
    this.#sparePains(phase, property)
    const details = await fc.check(property, {
      numRuns: phase === 'decider' ? numRuns * DECIDER_RUNS : numRuns,
      seed: this.seed,
      ...(given?.[2] !== undefined && { path: given[2] }),
    })
    if (details.failed) throw await this.#failure(phase, details, tell)
  }

  /** Once the time is up no new stories are made: they would not be told. */
  #sparePains(phase: Phase, property: fc.IAsyncPropertyWithHooks<[Story]>): void {
    const generate = property.generate.bind(property)
    let last: ReturnType<typeof generate> | undefined
    property.generate = (random, run) => {
      if (last === undefined || performance.now() <= this.#endsAt[phase]) last = generate(random, run)
      return last
    }
  }

  /** That all was well means nothing where nothing was tried. */
  checkWhatWasTried(): void {
    for (const phase of this.#phases) {
      const told = this.#stories[phase]
      const asked = told + this.#cut[phase]
      const share = `${told} of ${asked} stories through ${WHERE[phase]} were told in ${this.#timeLimitMs} ms (timeLimitMs)`
      if (told === 0) throw new Error(`${share}: nothing was tried. Give more time, or make what takes so long quicker`)
      if (told < asked * FEW) process.emitWarning(`${share}: that finds little. Give more time`, 'PenholdWarning')
    }
    if (!this.#tally.isWithoutEvents) return
    const { type } = this.#aggregate
    throw new Error(
      `no command to ${type} ever led to an event, so that nothing was tried but its initial state:\n${this.#tally.describeOutcomes()}\nGive arbitraries of payloads that can be accepted`,
    )
  }

  report(): InvariantReport {
    const { outcomes, events, passes, faults } = this.#tally
    const tried = { stories: this.#stories, cut: this.#cut, commands: this.#commands }
    return { seed: this.seed, ...tried, outcomes, events, passes, faults }
  }

  /** What is wrong with a story; undefined where all is well. */
  async #tell(phase: Phase, story: Story, tell: Tell): Promise<StoryFailed | undefined> {
    // Once the time is up all is well: so that nothing more is tried, and what failed is made no shorter.
    if (performance.now() > this.#endsAt[phase]) {
      this.#cut[phase] += 1
      return undefined
    }
    this.#stories[phase] += 1
    const transcript = new Transcript()
    this.#commands += story.steps.filter(({ kind }) => kind === 'command').length
    const { invariants = {} } = this.#options
    try {
      await tell({ aggregate: this.#aggregate, invariants, story, transcript, tally: this.#tally })
      return undefined
    } catch (error) {
      if (error instanceof Broken || error instanceof PenholdError) return new StoryFailed(error.message, transcript)
      throw error
    }
  }

  async #failure(phase: Phase, details: fc.RunDetails<[Story]>, tell: Tell): Promise<unknown> {
    const { errorInstance, counterexample, counterexamplePath, numRuns, numShrinks } = details
    if (!(errorInstance instanceof StoryFailed) || counterexample === null) return errorInstance
    const shortest = await shorten(counterexample[0], errorInstance, (story) => this.#tell(phase, story, tell))
    const { message, transcript } = shortest.failure
    const path = `${phase}/${counterexamplePath}`
    const where = WHERE[phase]
    const isCut = this.#cut[phase] > 0
    const untilWhen = isCut
      ? `, until the time was up (timeLimitMs: ${this.#timeLimitMs}); with more it gets shorter`
      : ''
    const made = `Story ${numRuns} through ${where}, made shorter ${numShrinks + shortest.shortened} times${untilWhen}.`
    const more = isCut ? `, timeLimitMs: ${MORE_TIME_MS}` : ''
    const again = `To see it again: checkInvariants(…, { …, seed: ${this.seed}, path: '${path}'${more} })`
    return new InvariantBroken(`${message}\n\n${transcript.toString()}\n\n${made}\n${again}`, { seed: this.seed, path })
  }
}

function faultsOf(given: Partial<Faults> | false = {}): Faults {
  const entries = Object.keys(ALL_FAULTS).map((kind) => [kind, given !== false])
  const unknown = Object.keys(given).find((kind) => !Object.hasOwn(ALL_FAULTS, kind))
  if (unknown !== undefined) {
    throw new Error(`there is no fault '${unknown}'; there are ${Object.keys(ALL_FAULTS).join(', ')}`)
  }
  return { ...(Object.fromEntries(entries) as unknown as Faults), ...given }
}

function arbitrariesOf(
  aggregate: Aggregate,
  given: Readonly<Record<string, fc.Arbitrary<unknown> | false | undefined>> = {},
): ReadonlyMap<string, fc.Arbitrary<unknown>> {
  const handlers = aggregate.commands as Readonly<Record<string, (...parameters: never) => unknown>>
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(handlers, name))
  if (unknown !== undefined) {
    throw new Error(`${aggregate.type} has no command '${unknown}'; it has ${Object.keys(handlers).join(', ')}`)
  }
  const arbitraries = new Map<string, fc.Arbitrary<unknown>>()
  for (const [name, handler] of Object.entries(handlers)) {
    const arbitrary = given[name] ?? derived(aggregate, name, handler.length)
    if (arbitrary !== false) arbitraries.set(name, arbitrary)
  }
  if (arbitraries.size === 0) throw new Error(`${aggregate.type} has no commands to tell stories of`)
  return arbitraries
}

function derived(aggregate: Aggregate, name: string, parameters: number): fc.Arbitrary<unknown> {
  const schema = (aggregate.schemas as Readonly<Record<string, StandardSchemaV1 | undefined>>)[name]
  if (schema === undefined && parameters < 2) return fc.constant(undefined)
  let reason = 'it has no schema to derive one from'
  try {
    if (schema !== undefined) return arbitraryOf(schema)
  } catch (error) {
    reason = (error as Error).message
  }
  throw new Error(
    `there is no arbitrary for the command '${name}' of ${aggregate.type} (${reason}). Give one: commands: { ${name}: fc.record({ … }) }; fc.constant(undefined) where it takes no payload, false to leave it out`,
  )
}
