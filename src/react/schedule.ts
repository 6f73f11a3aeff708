/** What a user defines of a schedule: a command that is sent again and again. Pure. */
import { isAggregate, type Aggregate, type CommandName, type PayloadOf } from '../aggregate/aggregate.ts'
import { definitionError, describe, reasonOf } from '../aggregate/error.ts'
import { isAsynchronous, isThenable } from '../aggregate/synchronous.ts'
import { checkChoice, checkKeys, checkName } from '../read/definition-check.ts'
import { checkAddress, commandFor, type TimedCommand } from './timer.ts'
import { timeBehind, type Timetable } from './timetable.ts'

/** A run of a schedule. */
export interface ScheduledRun {
  /** When it was to be; it may be later now. */
  readonly time: Date
}

type PayloadPart<P> = undefined extends P
  ? { readonly payload?: P | ((run: ScheduledRun) => P) }
  : { readonly payload: P | ((run: ScheduledRun) => P) }

export type ScheduleDefinition<A extends Aggregate, K extends CommandName<A>> = {
  /** Names the schedule in the log: 1 to 64 letters, digits, `-` and `_`. */
  readonly name: string
  /** Five fields from minutes to days of the week, or six from seconds; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. */
  readonly cron: string
  /** As the zone database names it: `Europe/Berlin`. Default `UTC`. */
  readonly timezone?: string
  /**
   * What becomes of times that came while nobody could run them, as nobody was there for a minute or a week. `skip`:
   * nothing. `once`: one run, of the last of them. `all`: a run of each, in order.
   */
  readonly missed: 'skip' | 'once' | 'all'
  readonly aggregate: A
  /** Of the aggregate that is sent the command. */
  readonly id: string
  readonly command: K
} & PayloadPart<PayloadOf<A, K>>

/** A schedule's definition with everything filled in, made by `defineSchedule`. */
export interface Schedule extends Timetable {
  readonly name: string
  readonly aggregate: Aggregate
  /** What is sent in a run. */
  readonly commandAt: (run: ScheduledRun) => TimedCommand
}

const REQUIRED_KEYS = ['name', 'cron', 'missed', 'aggregate', 'id', 'command']
const OPTIONAL_KEYS = ['timezone', 'payload']
/** For the end of a message. */
const WAITS = '; what needs waiting for belongs into a reactor'

/**
 * Defines a schedule: from when a node of the cluster starts with it in its config, the command is sent at each time of the
 * cron expression, once in effect. The type of the payload is the command's.
 * @throws PenholdError `BadDefinition` that says what is wrong
 */
export function defineSchedule<A extends Aggregate, K extends CommandName<A>>(
  definition: ScheduleDefinition<A, K>,
): Schedule {
  const name = checkName('schedule', definition)
  const who = `schedule '${name}'`
  checkKeys(who, definition, { required: REQUIRED_KEYS, optional: OPTIONAL_KEYS })
  const { cron, timezone = 'UTC', missed, aggregate, id, command } = definition
  const given: unknown = definition.payload
  checkChoice(who, { missed }, ['skip', 'once', 'all'])
  if (!isAggregate(aggregate)) {
    throw definitionError(`${who}: aggregate is ${describe(aggregate)}; give what defineAggregate returned`)
  }
  if (typeof command !== 'string') {
    throw definitionError(`${who}: command is ${describe(command)}; give the name of one of ${aggregate.type}`)
  }
  checkTimes(who, { cron, timezone, missed })
  if (isAsynchronous(given)) throw definitionError(`${who}: payload is async, or a generator${WAITS}`)
  const payloadAt = typeof given === 'function' ? madeBy(name, given as (run: ScheduledRun) => unknown) : () => given
  const commandAt = (run: ScheduledRun): TimedCommand =>
    commandFor('it', { aggregate, id, command, payload: payloadAt(run) as PayloadOf<A, K> })
  try {
    checkAddress('it', { aggregate, id, command })
    if (typeof given !== 'function') commandAt({ time: new Date(0) })
  } catch (error) {
    throw definitionError(`${who} cannot send its command: ${reasonOf(error)}`, error)
  }
  const schedule: Schedule = { name, cron, timezone, missed, aggregate, commandAt }
  schedules.add(schedule)
  return schedule
}

const schedules = new WeakSet<object>()

/** Whether it is what `defineSchedule` has returned. */
export function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'object' && value !== null && schedules.has(value)
}

/** It fails long after the definition: the reason says whose it is. */
function madeBy(name: string, payload: (run: ScheduledRun) => unknown): (run: ScheduledRun) => unknown {
  return (run) => {
    let made: unknown
    try {
      made = payload(run)
    } catch (error) {
      throw new Error(`the payload of the schedule '${name}' could not be made: ${reasonOf(error)}`, { cause: error })
    }
    if (!isThenable(made)) return made
    Promise.resolve(made).catch(() => undefined)
    throw new Error(`the payload of the schedule '${name}' is a promise${WAITS}`)
  }
}

function checkTimes(who: string, table: Timetable): void {
  for (const [key, value] of Object.entries({ cron: table.cron, timezone: table.timezone })) {
    if (typeof value !== 'string') throw definitionError(`${who}: ${key} is ${describe(value)}; give a text`)
  }
  if (!isZone(table.timezone)) {
    throw definitionError(
      `${who}: the zone database has no timezone '${table.timezone}'; give a name of it, as 'Europe/Berlin', or leave it out for UTC`,
    )
  }
  // What croner takes for a date is no expression; nor is one with a year, which may be over.
  const fields = table.cron.trim().split(/\s+/).length
  if ((fields < 5 || fields > 6) && !table.cron.startsWith('@')) {
    throw definitionError(
      `${who}: cron is '${table.cron}'; give five fields, as '0 3 * * *', or six with seconds first`,
    )
  }
  let first: number | undefined
  try {
    first = timeBehind(table, 0)
  } catch (error) {
    const reason = (error instanceof Error ? error.message : reasonOf(error)).replace(/\.$/, '')
    throw definitionError(
      `${who}: cron '${table.cron}' is not understood (${reason}); give five fields, as '0 3 * * *', or six with seconds first, or @daily and its like`,
      error,
    )
  }
  if (first === undefined) throw definitionError(`${who}: '${table.cron}' never comes`)
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
