/** `npm run sim`: plans by the thousand, or the mutants. `--help` tells the options. */
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { findMutant, type MutantFinding } from './find-mutant.ts'
import { MUTANTS } from './mutants.ts'
import { shrunk, trySeed, type Story } from './try-seed.ts'

const HELP = `npm run sim -- [options]

Runs Penhold in simulated time, with faults, and checks from outside that it kept its promises.

  --seeds N     so many plans (default 1000)
  --from S      the seed of the first (default 1); a plan depends on its seed alone
  --mutants     break each rule on purpose, and see that it is noticed; at most --seconds for each
  --seconds N   time for each mutant (default 60)
  --json        one JSON object on standard output
  --help

Ends with 0 where all is well, 1 where a promise was broken or a mutant was not noticed, 2 on wrong options.
`

interface Options {
  readonly seeds: number
  readonly from: number
  readonly seconds: number
  readonly isMutants: boolean
  readonly isJson: boolean
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '60' },
      mutants: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const number = (name: 'seeds' | 'from' | 'seconds'): number => {
    const value = Number(values[name])
    if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on`)
    return value
  }
  return {
    seeds: number('seeds'),
    from: number('from'),
    seconds: number('seconds'),
    isMutants: values.mutants,
    isJson: values.json,
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function simulate({ seeds, from, isJson }: Options, isStopped: () => boolean): Promise<number> {
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
  for (let seed = from; seed < from + seeds && broken === undefined && !isStopped(); seed += 1) {
    const story = await trySeed(seed)
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
    faults,
  }
  if (broken !== undefined) {
    process.stderr.write(`seed ${broken.seed}: ${broken.violations[0]}\nlooking for the shortest story …\n`)
    const shortest = await shrunk(broken.seed)
    if (isJson) say(JSON.stringify({ ...figures, broken: shortest }))
    else say(`${shortest.violations.join('\n')}\n${JSON.stringify(shortest.plan, undefined, 2)}\n${shortest.replay}`)
    return 1
  }
  say(isJson ? JSON.stringify(figures) : describe(figures))
  return 0
}

function describe(figures: Readonly<Record<string, unknown>>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name.padEnd(18)}${JSON.stringify(value)}`)
    .join('\n')
}

async function tryMutants({ seconds, isJson }: Options, isStopped: () => boolean): Promise<number> {
  const findings: MutantFinding[] = []
  for (const mutant of MUTANTS) {
    if (isStopped()) break
    const finding = await findMutant(mutant, seconds * 1_000)
    findings.push(finding)
    const { seeds, violation } = finding
    if (!isJson)
      say(
        `${mutant.name.padEnd(34)}${violation === undefined ? `NOT NOTICED in ${seeds}` : `seed ${seeds}: ${violation}`}`,
      )
  }
  if (isJson) say(JSON.stringify(findings))
  return findings.length === MUTANTS.length && findings.every(({ violation }) => violation !== undefined) ? 0 : 1
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
  let isStopped = false
  process.once('SIGINT', () => (isStopped = true))
  return options.isMutants ? tryMutants(options, () => isStopped) : simulate(options, () => isStopped)
}

process.exitCode = await main()
