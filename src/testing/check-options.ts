/** Options of a search as they come from plain JavaScript: what is misspelt would have no effect, and nobody would know. */
import { nearest } from '../aggregate/nearest.ts'
import { describeValue } from './describe.ts'
import type { InvariantOptions } from './check-invariants.ts'
import type { Aggregate } from '../aggregate/aggregate.ts'

const KNOWN: Readonly<Record<keyof InvariantOptions<Aggregate>, true>> = {
  commands: true,
  invariants: true,
  metadata: true,
  aggregates: true,
  stepsMax: true,
  numRuns: true,
  only: true,
  seed: true,
  path: true,
  timeLimitMs: true,
  time: true,
  faults: true,
}

/** @throws an error that says which one is wrong */
export function checkOptions(options: InvariantOptions<Aggregate>): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(KNOWN, name))
  if (unknown !== undefined) {
    throw new Error(`there is no option '${unknown}'; the nearest is '${nearest(unknown, Object.keys(KNOWN))}'`)
  }
  const { only, invariants = {} } = options
  if (only !== undefined && only !== 'decider' && only !== 'runtime') {
    throw new Error(`only is ${describeValue(only)}; give 'decider' or 'runtime', or leave it out for both`)
  }
  for (const name of ['numRuns', 'stepsMax', 'aggregates'] as const) {
    const value = options[name]
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) continue
    throw new Error(`${name} is ${describeValue(value)}; give a whole number from 1 on`)
  }
  for (const [name, invariant] of Object.entries(invariants) as [string, unknown][]) {
    if (typeof invariant === 'function') continue
    throw new Error(`the invariant '${name}' is ${describeValue(invariant)}; give a function of the state`)
  }
}
