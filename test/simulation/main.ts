/** `npm run sim`: plans by the thousand, or the mutants. `--help` tells the options. */
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { findMutant, type MutantFinding } from './find-mutant.ts'
import { CLUSTER_TRIALS } from './cluster/try-seed.ts'
import { DAMAGE_TRIALS } from './damage/try-seed.ts'
import type { Mutant } from './mutants.ts'
import { INBOX_TRIALS } from './inboxes/try-seed.ts'
import { OUTBOX_TRIALS } from './outboxes/try-seed.ts'
import { PROJECTION_TRIALS } from './projections/try-seed.ts'
import { PROCESS_TRIALS, REACTOR_TRIALS, SHIFTING_TRIALS, SYNCHRONOUS_TRIALS } from './reactors/try-seed.ts'
import { NODE_TRIALS, type AnyPlan, type Story, type Trials } from './try-seed.ts'

const HELP = `npm run sim -- [options]

Runs Penhold in simulated time, with faults, and checks from outside that it kept its promises.

  --cluster     several nodes over one log, instead of one at a time
  --damage      one node at a time over files that are harmed and mended
  --projections several nodes that run projections meanwhile
  --reactors    several nodes that run a reactor meanwhile
  --synchronous several nodes that run a reactor and a synchronous one meanwhile
  --shifting    several nodes that run a reactor whose timers are replaced and cancelled meanwhile
  --processes   several nodes that run a reactor and a process meanwhile
  --outboxes    several nodes, or processes beside them, that run outboxes meanwhile
  --inboxes     several nodes that run an inbox meanwhile
  --seeds N     so many plans (default 1000); of each mutant, at most (default 10000)
  --from S      the seed of the first (default 1); a plan depends on its seed alone
  --mutants     break each rule on purpose, and see that it is noticed
  --mutant NAME break this one; may be given more than once
  --seconds N   give a mutant up after so long (default 1800)
  --json        one JSON object on standard output
  --help

Ends with 0 where all is well, 1 where a promise was broken or a mutant was not noticed, 2 on wrong options.
`

const SEEDS = 1_000
const MUTANT_SEEDS = 10_000

const TRIALS = {
  inboxes: INBOX_TRIALS,
  outboxes: OUTBOX_TRIALS,
  processes: PROCESS_TRIALS,
  synchronous: SYNCHRONOUS_TRIALS,
  shifting: SHIFTING_TRIALS,
  reactors: REACTOR_TRIALS,
  projections: PROJECTION_TRIALS,
  cluster: CLUSTER_TRIALS,
  damage: DAMAGE_TRIALS,
  node: NODE_TRIALS,
}

interface Options {
  readonly of: keyof typeof TRIALS
  readonly seeds: number
  readonly from: number
  readonly seconds: number
  /** Undefined where none are asked for. */
  readonly mutants: readonly Mutant[] | undefined
  readonly isJson: boolean
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      cluster: { type: 'boolean', default: false },
      damage: { type: 'boolean', default: false },
      projections: { type: 'boolean', default: false },
      reactors: { type: 'boolean', default: false },
      synchronous: { type: 'boolean', default: false },
      shifting: { type: 'boolean', default: false },
      processes: { type: 'boolean', default: false },
      outboxes: { type: 'boolean', default: false },
      inboxes: { type: 'boolean', default: false },
      seeds: { type: 'string' },
      from: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '1800' },
      mutants: { type: 'boolean', default: false },
      mutant: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const chosen = (
    [
      'inboxes',
      'outboxes',
      'processes',
      'shifting',
      'synchronous',
      'reactors',
      'projections',
      'cluster',
      'damage',
    ] as const
  ).find((name) => values[name])
  const of = chosen ?? 'node'
  const { mutants: all } = TRIALS[of]
  const mutants = values.mutants || values.mutant.length > 0 ? mutantsNamed(all, values.mutant) : undefined
  const number = (name: 'seeds' | 'from' | 'seconds'): number => {
    const value = Number(values[name] ?? (mutants === undefined ? SEEDS : MUTANT_SEEDS))
    if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on`)
    return value
  }
  return {
    of,
    seeds: number('seeds'),
    from: number('from'),
    seconds: number('seconds'),
    mutants,
    isJson: values.json,
  }
}

/** All of them where none is named. */
function mutantsNamed(mutants: readonly Mutant[], names: readonly string[]): readonly Mutant[] {
  const known = mutants.map(({ name }) => name)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no mutant '${unknown}'; there are ${known.join(', ')}`)
  return names.length === 0 ? mutants : mutants.filter(({ name }) => names.includes(name))
}

let isStopped = false

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

type Figures = Readonly<Record<string, number>>

async function simulate<P extends AnyPlan>(trials: Trials<P>, { seeds, from, isJson }: Options): Promise<number> {
  const bar = new SingleBar({
    format: '{bar} {value}/{total} plans, {eta_formatted} to go',
    noTTYOutput: false,
    stream: process.stderr,
  })
  const faults: Record<string, number> = {}
  const sums = { seeds: 0, commands: 0, acknowledged: 0, simulatedSeconds: 0 }
  const began = performance.now()
  let broken: Story | undefined
  bar.start(seeds, 0)
  for (let seed = from; seed < from + seeds && broken === undefined && !isStopped; seed += 1) {
    const story = await trials.trySeed(seed)
    sums.seeds += 1
    sums.commands += story.attempts
    sums.acknowledged += story.acknowledged
    sums.simulatedSeconds += story.simulatedMs / 1_000
    for (const { kind } of story.plan.faults) faults[kind] = (faults[kind] ?? 0) + 1
    if (story.violations.length > 0) broken = story
    bar.increment()
  }
  bar.stop()
  const seconds = (performance.now() - began) / 1_000
  const figures = {
    ...sums,
    simulatedSeconds: Math.round(sums.simulatedSeconds),
    seconds: Math.round(seconds),
    plansPerSecond: Math.round(sums.seeds / seconds),
    commandsPerSecond: Math.round(sums.commands / seconds),
  }
  if (broken !== undefined) {
    process.stderr.write(`seed ${broken.seed}: ${broken.violations[0]}\nlooking for the shortest story …\n`)
    const shortest = await trials.shrunk(broken.seed)
    if (isJson) say(JSON.stringify({ ...figures, faults, broken: shortest }))
    else say(`${shortest.violations.join('\n')}\n${JSON.stringify(shortest.plan, undefined, 2)}\n${shortest.replay}`)
    return 1
  }
  say(isJson ? JSON.stringify({ ...figures, faults }) : describe(figures, faults))
  return 0
}

function describe(figures: Figures, faults: Figures): string {
  const table = (counts: Figures): string[] => {
    const rows = Object.entries(counts).map(([name, count]) => [name, count.toLocaleString('en')] as const)
    const width = Math.max(...rows.map(([, count]) => count.length))
    return rows.map(([name, count]) => `${name.padEnd(20)}${count.padStart(width)}`)
  }
  return [...table(figures), '', 'faults', ...table(faults), '', '0 violations'].join('\n')
}

async function tryMutants<P extends AnyPlan>(
  trials: Trials<P>,
  { mutants = [], seeds: seedsMax, seconds, isJson }: Options,
): Promise<number> {
  const findings: MutantFinding[] = []
  for (const mutant of mutants) {
    if (isStopped) break
    const finding = await findMutant(trials, mutant, { seeds: seedsMax, seconds })
    findings.push(finding)
    const { seeds, violation } = finding
    if (!isJson)
      say(
        `${mutant.name.padEnd(34)}${violation === undefined ? `NOT NOTICED in ${seeds} ${seeds === 1 ? 'plan' : 'plans'}` : `seed ${seeds}: ${violation}`}`,
      )
  }
  if (isJson) say(JSON.stringify(findings))
  return findings.length === mutants.length && findings.every(({ violation }) => violation !== undefined) ? 0 : 1
}

function work<P extends AnyPlan>(trials: Trials<P>, options: Options): Promise<number> {
  return options.mutants === undefined ? simulate(trials, options) : tryMutants(trials, options)
}

async function main(): Promise<number> {
  let options: Options | undefined
  try {
    options = readOptions()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\nTry --help.\n`)
    return 2
  }
  if (options === undefined) {
    process.stdout.write(HELP)
    return 0
  }
  process.once('SIGINT', () => (isStopped = true))
  switch (options.of) {
    case 'node':
      return work(NODE_TRIALS, options)
    case 'cluster':
      return work(CLUSTER_TRIALS, options)
    case 'damage':
      return work(DAMAGE_TRIALS, options)
    case 'projections':
      return work(PROJECTION_TRIALS, options)
    case 'reactors':
      return work(REACTOR_TRIALS, options)
    case 'synchronous':
      return work(SYNCHRONOUS_TRIALS, options)
    case 'shifting':
      return work(SHIFTING_TRIALS, options)
    case 'processes':
      return work(PROCESS_TRIALS, options)
    case 'outboxes':
      return work(OUTBOX_TRIALS, options)
    case 'inboxes':
      return work(INBOX_TRIALS, options)
  }
}

process.exitCode = await main()
