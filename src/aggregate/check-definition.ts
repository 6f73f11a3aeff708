/**
 * What is wrong with an aggregate's definition is told while the program starts: for programs without a compiler, and for
 * what a compiler does not see. What is not there, or no function, would fail at the first command only.
 */
import { definitionError, describe, type PenholdError } from './error.ts'
import { nearest, suggestion } from './nearest.ts'
import { isAsynchronous } from './synchronous.ts'

const REQUIRED_KEYS = ['type', 'initialState', 'events', 'commands']
const OPTIONAL_KEYS = ['queries', 'schemas', 'upcasters', 'renamedEvents', 'stateVersion', 'snapshotEvery']

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
const STATE_VERSION_MAX = 65_535

type Given = Readonly<Record<string, unknown>>
type Wrong = (problem: string) => PenholdError

/** @throws PenholdError `BadDefinition` that says what is wrong, and what to give */
export function checkDefinition(given: unknown): void {
  if (!isObject(given)) throw definitionError(`an aggregate's definition is an object, not ${describe(given)}`)
  const { type } = given
  const who = typeof type === 'string' ? `${type}: ` : ''
  const wrong: Wrong = (problem) => definitionError(`${who}${problem}`)
  checkKeys(given, wrong)
  if (typeof type !== 'string') throw wrong(`an aggregate's type is a text, not ${describe(type)}`)
  checkFunctions(given, wrong)
  checkEntries(given, wrong)
  checkNames(type, given, wrong)
  checkNamed(given, wrong)
  checkNumbers(given, wrong)
}

/** A part that is misspelt would be missing, and nobody would know. */
function checkKeys(given: Given, wrong: Wrong): void {
  const known = [...REQUIRED_KEYS, ...OPTIONAL_KEYS]
  const unknown = Object.keys(given).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw wrong(`an aggregate has no '${unknown}'; the nearest is '${nearest(unknown, known)}'`)
  }
  const missing = REQUIRED_KEYS.find((key) => given[key] === undefined)
  if (missing !== undefined) throw wrong(`an aggregate needs '${missing}'`)
}

function checkFunctions(given: Given, wrong: Wrong): void {
  const { initialState } = given
  if (typeof initialState !== 'function') {
    throw wrong(`initialState is ${describe(initialState)}; give a function that returns it`)
  }
  if (isAsynchronous(initialState)) throw wrong(`initialState ${ASYNCHRONOUS}`)
  for (const part of ['events', 'commands', 'queries']) {
    const handlers = part === 'queries' && given[part] === undefined ? {} : given[part]
    if (!isObject(handlers)) throw wrong(`${part} is an object of functions, not ${describe(handlers)}`)
    for (const [name, handler] of Object.entries(handlers)) {
      if (typeof handler !== 'function') {
        throw wrong(`'${name}' of ${part} is ${describe(handler)}; give a function`)
      }
      if (isAsynchronous(handler)) throw wrong(`'${name}' of ${part} ${ASYNCHRONOUS}`)
    }
  }
}

const ASYNCHRONOUS =
  'is async, or a generator, and handlers are synchronous; what needs waiting for belongs before the command, or into a reactor'

function checkEntries(given: Given, wrong: Wrong): void {
  for (const [part, { is, give }] of Object.entries(ENTRIES)) {
    const named = given[part] === undefined ? {} : given[part]
    if (!isObject(named)) throw wrong(`${part} is an object, not ${describe(named)}`)
    for (const [name, entry] of Object.entries(named)) {
      if (!is(entry)) throw wrong(`'${name}' of ${part} is ${describe(entry)}; give ${give}`)
    }
  }
}

const ENTRIES: Readonly<Record<string, { readonly is: (value: unknown) => boolean; readonly give: string }>> = {
  schemas: {
    is: (value) => typeof Object(Object(value)['~standard']).validate === 'function',
    give: 'a Standard Schema, as of zod, valibot or arktype',
  },
  upcasters: {
    is: (value) => Array.isArray(value) && value.every((step) => typeof step === 'function' && !isAsynchronous(step)),
    give: 'a list of synchronous functions, one a step',
  },
  renamedEvents: { is: (value) => typeof value === 'string', give: 'the name that the event has today' },
}

function checkNames(type: string, given: Given, wrong: Wrong): void {
  const names = ['events', 'commands', 'queries', 'renamedEvents'].flatMap((part) => keysOf(given[part]))
  for (const name of [type, ...names]) {
    if (!NAME.test(name)) {
      throw wrong(`'${name}' cannot be a name; use 1 to 64 letters, digits, '-' and '_', a letter first`)
    }
    // Looked up in an object of a user's, it would be found where there is none.
    if (name in Object.prototype) throw wrong(`'${name}' means something to JavaScript; take another name`)
  }
}

/** What belongs to an event or a command, by its name. */
function checkNamed(given: Given, wrong: Wrong): void {
  const events = keysOf(given['events'])
  const withCommands = [...events, ...keysOf(given['commands'])]
  const schema = keysOf(given['schemas']).find((name) => !withCommands.includes(name))
  if (schema !== undefined) {
    throw wrong(`the schema '${schema}' belongs to no command and no event; ${suggestion(schema, withCommands)}`)
  }
  const upcast = keysOf(given['upcasters']).find((name) => !events.includes(name))
  if (upcast !== undefined) {
    throw wrong(`the upcasters of '${upcast}' belong to no event; ${suggestion(upcast, events)}`)
  }
  for (const [former, name] of Object.entries((given['renamedEvents'] ?? {}) as Readonly<Record<string, string>>)) {
    if (events.includes(former)) {
      throw wrong(`'${former}' is an event and a former name at once; take it out of events, or out of renamedEvents`)
    }
    if (!events.includes(name)) {
      throw wrong(`'${former}' was renamed to '${name}', which is no event; ${suggestion(name, events)}`)
    }
  }
}

function checkNumbers({ snapshotEvery = 1, stateVersion = 1 }: Given, wrong: Wrong): void {
  if (snapshotEvery !== false && !isWhole(snapshotEvery, Number.POSITIVE_INFINITY)) {
    throw wrong(`snapshotEvery is ${describe(snapshotEvery)}; give a whole number above 0, or false`)
  }
  if (!isWhole(stateVersion, STATE_VERSION_MAX)) {
    throw wrong(`stateVersion is ${describe(stateVersion)}; give a whole number from 1 to ${STATE_VERSION_MAX}`)
  }
}

function isWhole(value: unknown, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= max
}

function keysOf(part: unknown): readonly string[] {
  return Object.keys(part ?? {})
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
