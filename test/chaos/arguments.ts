/** What `npm run chaos` was told on its command line. */
import { parseArgs } from 'node:util'
import { mutants } from './mutant.ts'
import type { Scenario } from './scenario.ts'
import { cluster } from './scenarios/cluster.ts'
import { scenarios } from './scenarios/index.ts'

export interface Arguments {
  readonly scenario: Scenario
  /** Undefined for as many as the scenario takes to count. */
  readonly cycles: number | undefined
  /** After so many no new cycle begins. */
  readonly minutes: number | undefined
  readonly seed: number
  readonly rate: number | undefined
  readonly only: string | undefined
  readonly mutant: string | undefined
  readonly projects: boolean
  readonly reacts: boolean
  readonly isJson: boolean
}

export function helpText(): string {
  const list = scenarios.map(({ name, about, cycles }) => {
    const howMany = Number.isFinite(cycles) ? ` (${cycles} cycles)` : ''
    return `  ${name.padEnd(15)} ${about}${howMany}`
  })
  return `Torments real Penhold nodes on real disks, and holds what they told their clients against their log.

  npm run chaos -- SCENARIO [OPTIONS]
  npm run chaos -- --minutes M [OPTIONS]     for the scenario cluster

${list.join('\n')}

  --cycles N      how many cycles
  --minutes M     cycles for so long
  --seed N        for the clients' and the faults' choices; chance of the machine remains (default: 1)
  --rate N        commands in a second, of all clients together (default: ${cluster.rate} for cluster, else no limit)
  --only TEXT     of cluster's kinds of faults the one with this name, or those with this in it
  --mutant NAME   break one rule of the code, which must be noticed: ${[...mutants.keys()].join(', ')}
  --no-projections  without the nodes' projections and their PostgreSQL
  --no-reactions  without their reactors, process, outbox and inbox: without both it is cluster's hand-overs alone that are measured
  --json          print one JSON object and nothing else
  --help          print this

Exits with 1 where something was violated, and then keeps the log and the history and says where.
All but cluster, kill and pause need root: they mount file systems of their own in the temporary folder, or use strace.
Without root cluster leaves partitions out, and says so.`
}

/** Undefined where help was asked for. @throws Error that says what is wrong with them */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      cycles: { type: 'string' },
      minutes: { type: 'string' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string' },
      only: { type: 'string' },
      mutant: { type: 'string' },
      'no-projections': { type: 'boolean', default: false },
      'no-reactions': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  })
  if (values.help) return undefined
  const [name = values.minutes === undefined ? undefined : 'cluster'] = positionals
  const scenario = scenarios.find((known) => known.name === name)
  if (scenario === undefined || positionals.length > 1) {
    const known = scenarios.map((each) => each.name).join(', ')
    throw new Error(`name one scenario: ${known}; --help says what they do`)
  }
  return {
    scenario,
    cycles: values.cycles === undefined ? undefined : whole('--cycles', values.cycles, 1),
    minutes: values.minutes === undefined ? undefined : whole('--minutes', values.minutes, 1),
    seed: whole('--seed', values.seed, 0),
    rate: values.rate === undefined ? scenario.rate : whole('--rate', values.rate, 1),
    only: values.only,
    mutant: mutantOf(values.mutant),
    projects: !values['no-projections'],
    reacts: !values['no-reactions'],
    isJson: values.json,
  }
}

function mutantOf(name: string | undefined): string | undefined {
  if (name === undefined || mutants.has(name)) return name
  throw new Error(`there is no mutant '${name}'; there are ${[...mutants.keys()].join(', ')}`)
}

function whole(name: string, text: string, min: number): number {
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= min) return value
  throw new Error(`${name} is '${text}'; give a whole number from ${min} to 999999999`)
}
