/** What can be asked for where everything is read, and what is made of it: places in the log, and who wants which record. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import { checkOptions } from '../cluster/options.ts'
import { compileFilter, filterProblem, type EventFilter } from '../log/event-filter.ts'
import { isId } from '../log/identity.ts'
import { lastPositionAt, POSITION_MAX } from '../log/position.ts'
import type { LogRecord } from '../log/record.ts'
import type { AllPlace } from '../read/all.ts'
import { badPlace } from '../read/error.ts'
import { behind, parsePlace } from '../read/place.ts'
import { typesOf } from './stored-event.ts'

/**
 * Where something stands among everything: the `place` of an event; a position, such as a reply has, with all that stands
 * at it; or a time, with all whose positions were given by then.
 */
export type LogPlace = string | AtPosition | AtTime

/** Neither a whole event, whose `place` is meant, nor a whole reply. */
interface AtPosition {
  readonly position: number
  readonly time?: never
  readonly version?: never
}

interface AtTime {
  readonly time: Date
  readonly position?: never
}

export interface ReadOptions<A extends Aggregate = Aggregate> {
  /** Behind which place to begin. Default: from the beginning. */
  readonly after?: LogPlace
  /** Of these aggregates, whose definitions say what the events are; and of streams of these categories. Default: all. */
  readonly aggregates?: readonly A[]
  readonly categories?: readonly string[]
  readonly filter?: EventFilter
  /** Ends the reading. */
  readonly signal?: AbortSignal
}

/** For reading that has an end. */
export interface ReadAllOptions<A extends Aggregate = Aggregate> extends ReadOptions<A> {
  /** The last that is read: what stands there, or the event of this id. Default: the end that there is when it begins. */
  readonly until?: LogPlace | { readonly eventId: string }
}

/** For events as they stand in the log; the types of the filter are the names by which they were recorded. */
export interface RawOption {
  readonly raw: true
}

/** What of everything is read. */
export interface Range {
  readonly after: AllPlace
  /** It was given as a time, which the log need not have reached. */
  readonly mayBeAhead: boolean
  readonly until: AllPlace | undefined
  /** The event, be it wanted or not, that is the last. */
  readonly untilEvent: string | undefined
}

/** Which events are wanted, as plain data. */
export interface Wish {
  /** Of streams of these categories; undefined for all. */
  readonly streams: readonly string[] | undefined
  /** Its types are the names by which events were recorded. */
  readonly filter: EventFilter | undefined
}

/** Which records are wanted. */
export interface Wanted {
  readonly isWanted: (record: LogRecord) => boolean
  /** The same of an event type, `category/Type@version`, as far as that says it; undefined where it says nothing. */
  readonly isTypeWanted: ((eventType: string) => boolean) | undefined
}

const WHAT = 'reading everything'
const READ_OPTIONS = ['after', 'aggregates', 'categories', 'filter', 'raw', 'signal']

/** @throws PenholdError `BadPayload`, `BadDefinition` for an aggregate that the config does not have */
export function checkReadOptions(
  options: ReadAllOptions,
  { aggregates, isLive }: { readonly aggregates: ReadonlyMap<string, Aggregate>; readonly isLive: boolean },
): void {
  checkOptions(WHAT, options, isLive ? READ_OPTIONS : [...READ_OPTIONS, 'until'])
  const { categories, filter } = options
  const problem = filter === undefined ? undefined : filterProblem(filter)
  if (problem !== undefined) throw badPayload(WHAT, problem)
  if (categories !== undefined && !(Array.isArray(categories) && categories.every((one) => typeof one === 'string'))) {
    throw badPayload(WHAT, 'its categories are no list of texts')
  }
  if (options.aggregates !== undefined && !Array.isArray(options.aggregates)) {
    throw badPayload(WHAT, 'its aggregates are no list of definitions')
  }
  for (const aggregate of options.aggregates ?? []) {
    const type = (aggregate as Partial<Aggregate> | null | undefined)?.type
    if (type !== undefined && aggregates.has(type)) continue
    throw definitionError(`${WHAT}: the config has no aggregate ${describe(type)}; add it there`)
  }
}

/** @throws PenholdError `BadPlace`, `BadPayload` */
export function rangeOf({ after, until }: ReadAllOptions): Range {
  const mayBeAhead = typeof after === 'object' && after !== null && 'time' in after
  const from = placeOf('after', after)
  if (typeof until !== 'object' || until === null || !('eventId' in until)) {
    const last = until === undefined ? undefined : placeOf('until', until)
    return { after: from, mayBeAhead, until: last, untilEvent: undefined }
  }
  const { eventId } = until
  if (typeof eventId !== 'string' || !isId(eventId)) {
    throw badPayload(WHAT, `until has the event id ${describe(eventId)}, which is no UUID`)
  }
  return { after: from, mayBeAhead, until: undefined, untilEvent: eventId }
}

/** The beginning where nothing is given. @throws PenholdError `BadPlace` */
function placeOf(name: string, given: LogPlace | undefined): AllPlace {
  if (typeof given !== 'object') return parsePlace(given)
  const [[key, value] = ['', undefined], ...others] = Object.entries(given ?? {})
  if (others.length === 0 && key === 'position' && isPosition(value)) return behind(value)
  // The clock of positions begins in 2024: before it there is nothing.
  if (others.length === 0 && key === 'time' && isTime(value))
    return behind(Math.min(POSITION_MAX, Math.max(0, lastPositionAt(value.getTime()))))
  const keys = given === null ? '' : ` with ${Object.keys(given).join(', ')}`
  throw badPlace(`${name} is ${describe(given)}${keys}, which is neither a place nor { position } nor { time }`)
}

/** `shape` says whether records are read as they stand, or in today's shape by these definitions. */
export function wishOf(
  { aggregates, categories, filter }: ReadOptions,
  shape: 'raw' | ReadonlyMap<string, Aggregate>,
): Wish {
  const isOfAll = aggregates === undefined && categories === undefined
  return {
    streams: isOfAll ? undefined : [...(aggregates ?? []).map(({ type }) => type), ...(categories ?? [])],
    filter: shape === 'raw' ? filter : withFormerNames(filter, [...shape.values()]),
  }
}

export function wantedOf({ streams: categories, filter }: Wish): Wanted {
  const isOfFilter = compileFilter(filter)
  const streams = categories && new Set(categories)
  const types = filter?.types && new Set(filter.types)
  const isTypeWanted = (eventType: string): boolean => {
    const [slash, at] = [eventType.indexOf('/'), eventType.lastIndexOf('@')]
    if (streams?.has(eventType.slice(0, slash)) === false) return false
    return types?.has(eventType.slice(slash + 1, at)) !== false
  }
  return {
    // Version 0 says that a stream was created, which is between it and its owner.
    isWanted: (record) =>
      record.version > 0 &&
      !record.isInternal &&
      streams?.has(record.category) !== false &&
      isOfFilter(record),
    isTypeWanted: streams === undefined && types === undefined ? undefined : isTypeWanted,
  }
}

/** What stands in the log under a former name has to be decoded before it is known what it is. */
function withFormerNames(filter: EventFilter | undefined, aggregates: readonly Aggregate[]): EventFilter | undefined {
  if (filter?.types === undefined) return filter
  const { types } = filter
  const former = aggregates.flatMap((aggregate) => typesOf(aggregate, types))
  return { ...filter, types: [...new Set([...types, ...former])] }
}

function isPosition(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= POSITION_MAX
}

function isTime(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime())
}
