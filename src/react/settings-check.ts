/** What the definitions of this folder check alike: for programs without a compiler, and for what no type says. */
import { isAggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe, type PenholdError } from '../aggregate/error.ts'
import { nearest } from '../aggregate/nearest.ts'
import type { StartAt } from './consumer.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** Checks a definition's name and its keys, and makes what says of it what is wrong. @throws PenholdError `BadDefinition` */
export function checkDefinition(
  kind: string,
  definition: unknown,
  keys: { readonly required: readonly string[]; readonly optional: readonly string[] },
): (problem: string) => PenholdError {
  if (!isObject(definition))
    throw definitionError(`the definition of an ${kind} is an object, not ${describe(definition)}`)
  const { name } = definition
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw definitionError(
      `the name of an ${kind} is ${describe(name)}; use 1 to 64 letters, digits, '-' and '_', a letter or digit first`,
    )
  }
  const wrong = (problem: string): PenholdError => definitionError(`${kind} '${name}': ${problem}`)
  const known = [...keys.required, ...keys.optional]
  const unknown = Object.keys(definition).find((key) => !known.includes(key))
  if (unknown !== undefined) throw wrong(`it has no '${unknown}'; the nearest is '${nearest(unknown, known)}'`)
  const missing = keys.required.find((key) => definition[key] === undefined)
  if (missing !== undefined) throw wrong(`it needs '${missing}'`)
  return wrong
}

/** What is wrong with a list of aggregates; undefined where nothing is. */
export function aggregatesProblem(from: unknown): string | undefined {
  if (!Array.isArray(from)) return `from is ${describe(from)}; give a list of aggregates`
  if (from.length === 0) return 'from names no aggregate'
  const types = new Set<string>()
  for (const aggregate of from as readonly unknown[]) {
    if (!isAggregate(aggregate)) return `from has ${describe(aggregate)} in it; give what defineAggregate returned`
    if (types.has(aggregate.type)) return `from names '${aggregate.type}' twice`
    types.add(aggregate.type)
  }
  return undefined
}

/** What is wrong with where to start; undefined where nothing is. */
export function startProblem(startAt: StartAt): string | undefined {
  if (startAt === 'now' || startAt === 'beginning') return undefined
  if (typeof startAt === 'number' && Number.isSafeInteger(startAt) && startAt >= 0) return undefined
  return `startAt is ${describe(startAt)}; give 'now', 'beginning' or the position behind which to start`
}

/** What is wrong with whole numbers that have bounds; undefined where nothing is. */
export function rangeProblem(
  settings: Readonly<Record<string, number>>,
  bounds: Readonly<Record<string, readonly [min: number, max: number]>>,
): string | undefined {
  for (const [key, value] of Object.entries(settings)) {
    const [min, max] = bounds[key]!
    if (Number.isInteger(value) && value >= min && value <= max) continue
    return `${key} is ${describe(value)}; give a whole number from ${min} to ${max}`
  }
  return undefined
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
