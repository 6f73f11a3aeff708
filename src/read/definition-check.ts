/** What is wrong with the definition of what takes events, a projection or a reactor, is told while the program starts. */
import { isAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe, whyUndefined, type PenholdError } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** The definition's name. @throws PenholdError `BadDefinition`, as all of these */
export function checkName(what: string, definition: unknown): string {
  const a = /^[aeiou]/.test(what) ? 'an' : 'a'
  if (!isObject(definition))
    throw definitionError(`${a} ${what}'s definition is an object, not ${describe(definition)}`)
  const { name } = definition
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw definitionError(
      `${a} ${what}'s name is ${describe(name)}; use 1 to 64 letters, digits, '-' and '_', a letter or digit first`,
    )
  }
  return name
}

/** A setting that is misspelt would be its default, and nobody would know. */
export function checkKeys(
  who: string,
  definition: unknown,
  { required, optional }: { readonly required: readonly string[]; readonly optional: readonly string[] },
): void {
  if (!isObject(definition)) throw wrong(who, `its options are an object, not ${describe(definition)}`)
  const given = definition
  const known = [...required, ...optional]
  const unknown = Object.keys(given).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw wrong(who, `it has no '${unknown}'; ${suggestion(unknown, known)}`)
  }
  const missing = required.find((key) => given[key] === undefined)
  if (missing === undefined) return
  throw wrong(who, `it needs '${missing}'${Object.hasOwn(given, missing) ? whyUndefined(undefined) : ''}`)
}

/** `key` is what the definition calls it, and `orAll` what it may be beside a list. An inbox has nobody else's aggregates. */
export function checkSource(
  who: string,
  from: unknown,
  key: 'from' | 'to' = 'from',
  orAll: string = key === 'from' ? `, or 'all'` : '',
): void {
  if (from === 'all' && key === 'from') return
  if (!Array.isArray(from)) {
    throw wrong(who, `${key} is ${describe(from)}; give a list of aggregates${orAll}`)
  }
  if (from.length === 0) throw wrong(who, `${key} names no aggregate; give one${orAll}`)
  const types = new Set<string>()
  for (const aggregate of from as readonly unknown[]) {
    if (!isAggregate(aggregate)) {
      throw wrong(
        who,
        `${key} has ${describe(aggregate)} in it; give what defineAggregate returned${whyUndefined(aggregate)}`,
      )
    }
    if (types.has(aggregate.type)) throw wrong(who, `${key} names '${aggregate.type}' twice`)
    types.add(aggregate.type)
  }
}

/** `key` is what the definition calls them. */
export function checkHandlers(
  who: string,
  from: 'all' | readonly Aggregate[],
  on: unknown,
  key: 'on' | 'map' = 'on',
): void {
  if (!isObject(on)) throw wrong(who, `${key} is ${describe(on)}; give an object of functions`)
  const types = Object.keys(on)
  if (types.length === 0)
    throw wrong(who, `${key} has no handler, so that nothing would ever come of it; give a function for an event`)
  const other = types.find((type) => typeof on[type] !== 'function')
  if (other !== undefined) throw wrong(who, `'${other}' of ${key} is ${describe(on[other])}; give a function`)
  if (from === 'all') return
  const known = from.flatMap(({ events }) => Object.keys(events as object))
  const unknown = types.find((type) => !known.includes(type))
  if (unknown === undefined) return
  const today = from.map(({ renamedEvents }) => renamedEvents).find((renamed) => Object.hasOwn(renamed, unknown))
  throw wrong(
    who,
    today === undefined
      ? `no aggregate of from has an event '${unknown}'; ${suggestion(unknown, known)}`
      : `'${unknown}' is a former name, and its events come as '${today[unknown]}'; handle that one`,
  )
}

export function checkChoice(who: string, setting: Readonly<Record<string, unknown>>, choices: readonly string[]): void {
  const quoted = choices.map((choice) => `'${choice}'`)
  const listed = [quoted.slice(0, -1).join(', '), ...quoted.slice(-1)].join(' or ')
  for (const [key, value] of Object.entries(setting)) {
    if (typeof value === 'string' && choices.includes(value)) continue
    throw wrong(who, `${key} is ${describe(value)}; give ${listed}`)
  }
}

export function checkNumber(
  who: string,
  setting: Readonly<Record<string, unknown>>,
  { min, max, or = '' }: { readonly min: number; readonly max: number; readonly or?: string },
): void {
  for (const [key, value] of Object.entries(setting)) {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) continue
    throw wrong(who, `${key} is ${describe(value)}; give a whole number from ${min} to ${max}${or}`)
  }
}

function wrong(who: string, problem: string): PenholdError {
  return definitionError(`${who}: ${problem}`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
