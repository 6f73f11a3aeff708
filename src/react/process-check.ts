/** The checks on what a user defines of a process, for programs without a compiler, and for what a compiler does not see. */
import { isAggregate, type Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe, whyUndefined, type PenholdError } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import { isAsynchronous } from '../aggregate/synchronous.ts'
import { checkKeys, checkNumber } from '../read/definition-check.ts'
import { checkStart } from './reactor.ts'

const REQUIRED_KEYS = ['type', 'from', 'startAt', 'correlate', 'initialState', 'on']
const OPTIONAL_KEYS = ['to', 'timers', 'evolve', 'stateVersion', 'snapshotEvery', 'retries']
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
const TIMERS_MAX = 100
const RETRIES_MAX = 1_000
const STATE_VERSION_MAX = 65_535
const SNAPSHOT_EVERY_MAX = 1_000_000

const ASYNCHRONOUS =
  'is async, or a generator, and a process is synchronous; what needs waiting for belongs into a reactor, or into the command'

type Given = Readonly<Record<string, unknown>>

/** @throws PenholdError `BadDefinition` that says what is wrong */
export function checkProcess(definition: unknown): void {
  if (!isObject(definition)) throw definitionError(`a process' definition is an object, not ${describe(definition)}`)
  const type = checkName(definition['type'], `a process' type`)
  const who = `process '${type}'`
  const wrong = (problem: string): PenholdError => definitionError(`${who}: ${problem}`)
  checkKeys(who, definition, { required: REQUIRED_KEYS, optional: OPTIONAL_KEYS })
  checkParts(definition, wrong)
  const { from, to = [], timers = [] } = definition
  const sources = checkAggregates('from', from, wrong)
  if (sources.length === 0) throw wrong('from names no aggregate; give those whose events it is told')
  const targets = checkAggregates('to', to, wrong)
  const names = { events: eventsOf(sources), timers: checkTimers(who, timers), commands: commandsOf(targets) }
  const clash = names.timers.find((timer) => names.events.includes(timer))
  if (clash !== undefined) throw wrong(`'${clash}' is a timer and an event at once; rename the timer`)
  checkHandlers(definition, names, wrong)
  checkSettings(who, definition)
}

function checkName(name: unknown, what: string): string {
  if (typeof name === 'string' && NAME.test(name) && !(name in Object.prototype)) return name
  throw definitionError(`${what} is ${describe(name)}; use 1 to 64 letters, digits, '-' and '_', a letter first`)
}

function checkParts(given: Given, wrong: (problem: string) => PenholdError): void {
  if (typeof given['initialState'] !== 'function') {
    throw wrong(`initialState is ${describe(given['initialState'])}; give a function that returns it`)
  }
  if (isAsynchronous(given['initialState'])) throw wrong(`initialState ${ASYNCHRONOUS}`)
  for (const part of ['correlate', 'evolve', 'on']) {
    const runs = given[part] ?? {}
    if (!isObject(runs)) throw wrong(`${part} is ${describe(runs)}; give an object of functions`)
    const other = Object.keys(runs).find((name) => typeof runs[name] !== 'function')
    if (other !== undefined) throw wrong(`'${other}' of ${part} is ${describe(runs[other])}; give a function`)
    const waits = Object.keys(runs).find((name) => isAsynchronous(runs[name]))
    if (waits !== undefined) throw wrong(`'${waits}' of ${part} ${ASYNCHRONOUS}`)
  }
}

function checkAggregates(part: string, given: unknown, wrong: (problem: string) => PenholdError): readonly Aggregate[] {
  if (!Array.isArray(given)) throw wrong(`${part} is ${describe(given)}; give a list of aggregates`)
  const types = new Set<string>()
  for (const aggregate of given as readonly unknown[]) {
    if (!isAggregate(aggregate)) {
      throw wrong(
        `${part} has ${describe(aggregate)} in it; give what defineAggregate returned${whyUndefined(aggregate)}`,
      )
    }
    if (types.has(aggregate.type)) throw wrong(`${part} names '${aggregate.type}' twice`)
    types.add(aggregate.type)
  }
  return given as readonly Aggregate[]
}

function checkTimers(who: string, given: unknown): readonly string[] {
  const wrong = (problem: string): PenholdError => definitionError(`${who}: ${problem}`)
  if (!Array.isArray(given)) throw wrong(`timers is ${describe(given)}; give a list of names`)
  if (given.length > TIMERS_MAX) throw wrong(`it has ${given.length} timers; ${TIMERS_MAX} is the most`)
  const names = given.map((name: unknown) => checkName(name, `${who}: a timer's name`))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw wrong(`timers names '${twice}' twice`)
  return names
}

interface Names {
  readonly events: readonly string[]
  readonly timers: readonly string[]
  readonly commands: readonly string[]
}

function checkHandlers(given: Given, names: Names, wrong: (problem: string) => PenholdError): void {
  const keysOf = (part: string): readonly string[] => Object.keys(given[part] ?? {})
  const told = keysOf('correlate')
  if (told.length === 0)
    throw wrong('correlate names no event, so that it would be told nothing; give a function for each that it is told')
  const all = [...names.events, ...names.timers, ...names.commands]
  for (const part of ['correlate', 'evolve', 'on']) {
    const known = part === 'correlate' ? names.events : all
    const unknown = keysOf(part).find((name) => !known.includes(name))
    if (unknown !== undefined) throw wrong(unknownName({ part, name: unknown, known, given }))
  }
  const handled = [...keysOf('evolve'), ...keysOf('on')]
  const untold = handled.find((name) => names.events.includes(name) && !told.includes(name))
  if (untold !== undefined) throw wrong(`'${untold}' has a handler and is never told; add it to correlate`)
  const idle = told.find((name) => !handled.includes(name))
  if (idle !== undefined) throw wrong(`'${idle}' is told and nothing handles it; add it to on or evolve`)
  const deaf = names.timers.find((name) => !handled.includes(name))
  if (deaf !== undefined) throw wrong(`nothing handles the timer '${deaf}'; add it to on or evolve`)
}

function unknownName({
  part,
  name,
  known,
  given,
}: {
  readonly part: string
  readonly name: string
  readonly known: readonly string[]
  readonly given: Given
}): string {
  const renamed = (given['from'] as readonly Aggregate[]).find((one) => Object.hasOwn(one.renamedEvents, name))
  if (renamed !== undefined) {
    return `'${name}' is a former name, and its events come as '${renamed.renamedEvents[name]}'; handle that one`
  }
  const what = part === 'correlate' ? 'event of from' : 'event of from, timer, or command of to (type/command)'
  return `'${name}' of ${part} is no ${what}; ${suggestion(name, known)}`
}

function checkSettings(who: string, { startAt, stateVersion = 1, snapshotEvery = 1, retries = 0 }: Given): void {
  checkStart(who, startAt)
  checkNumber(who, { stateVersion }, { min: 1, max: STATE_VERSION_MAX })
  if (snapshotEvery !== false)
    checkNumber(who, { snapshotEvery }, { min: 1, max: SNAPSHOT_EVERY_MAX, or: ', or false' })
  checkNumber(who, { retries }, { min: 0, max: RETRIES_MAX })
}

function eventsOf(aggregates: readonly Aggregate[]): readonly string[] {
  return aggregates.flatMap(({ events }) => Object.keys(events as object))
}

function commandsOf(aggregates: readonly Aggregate[]): readonly string[] {
  return aggregates.flatMap(({ type, commands }) => Object.keys(commands as object).map((name) => `${type}/${name}`))
}

function isObject(value: unknown): value is Given {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
