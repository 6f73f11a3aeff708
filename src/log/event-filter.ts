/**
 * Which events a reader wants: by their types, and by what their metadata says. Applied to records where they are read, so
 * that the others are not sent.
 */
import { isCount } from './count.ts'
import { metadataOf } from './recorded-event.ts'
import type { LogRecord } from './record.ts'

/** What metadata can be compared with. */
export type Comparable = string | number | bigint | boolean | null

/** One of these. A range takes both of its ends in; texts are compared by their UTF-16 units. */
export type MetadataCondition =
  | { readonly equals: Comparable }
  | { readonly in: readonly Comparable[] }
  | { readonly exists: boolean }
  | { readonly range: { readonly from?: string | number; readonly to?: string | number } }

/** All of it has to hold. */
export interface EventFilter {
  /** Any of these types. */
  readonly types?: readonly string[]
  /** By key: what must be true of its value. */
  readonly metadata?: Readonly<Record<string, MetadataCondition>>
  /** In a partitioned stream: events of this aggregate, or of all of a type. */
  readonly aggregate?: { readonly type: string; readonly id?: string }
}

const KEYS = ['types', 'metadata', 'aggregate']
/** Bounds what a record is held against. */
const VALUES_MAX = 1_000
const AGGREGATE_KEY = '$aggregate'

/** What is wrong with a filter; undefined where nothing is. */
export function filterProblem(filter: unknown): string | undefined {
  if (!isObject(filter)) return 'the filter is no object'
  const unknown = Object.keys(filter).find((key) => !KEYS.includes(key))
  if (unknown !== undefined) return `a filter has no '${unknown}'; it has ${KEYS.join(', ')}`
  const { types, metadata, aggregate } = filter
  if (types !== undefined && !(Array.isArray(types) && types.length <= VALUES_MAX && types.every(isText))) {
    return `the filter's types are no list of up to ${VALUES_MAX} texts`
  }
  if (aggregate !== undefined) {
    const isKnown =
      isObject(aggregate) && isText(aggregate['type']) && (aggregate['id'] === undefined || isText(aggregate['id']))
    if (!isKnown) return `the filter's aggregate is no { type, id }`
  }
  if (metadata === undefined) return undefined
  if (!isObject(metadata)) return `the filter's metadata is no object`
  for (const [key, condition] of Object.entries(metadata)) {
    const problem = conditionProblem(condition)
    if (problem !== undefined) return `the filter's condition on '${key}' ${problem}`
  }
  return undefined
}

function conditionProblem(condition: unknown): string | undefined {
  if (!isObject(condition)) return 'is no object'
  const [[kind, value] = ['', undefined], ...others] = Object.entries(condition)
  if (others.length > 0) return 'has several parts; give one of equals, in, exists and range'
  switch (kind) {
    case 'equals':
      return isComparable(value) ? undefined : 'equals what is no text, number, bigint, boolean or null'
    case 'in':
      return Array.isArray(value) && value.length <= VALUES_MAX && value.every(isComparable)
        ? undefined
        : `is no list of up to ${VALUES_MAX} texts, numbers, bigints, booleans and nulls`
    case 'exists':
      return typeof value === 'boolean' ? undefined : 'says exists without true or false'
    case 'range':
      return rangeProblem(value)
    default:
      return `is none; give one of equals, in, exists and range`
  }
}

function rangeProblem(range: unknown): string | undefined {
  if (!isObject(range) || Object.keys(range).some((key) => key !== 'from' && key !== 'to')) return 'is no { from, to }'
  const ends = [range['from'], range['to']].filter((end) => end !== undefined)
  if (ends.length === 0) return 'is a range without ends'
  const [first] = ends
  const isRange = ends.every((end) => typeof end === typeof first && (isText(end) || typeof end === 'number'))
  return isRange ? undefined : 'is a range whose ends are not both texts, or both numbers'
}

/** Whether an event is wanted. The filter was found to have no problem. */
export function compileFilter(filter: EventFilter | undefined): (record: LogRecord) => boolean {
  if (filter === undefined) return () => true
  const types = filter.types === undefined ? undefined : new Set(filter.types)
  const conditions = Object.entries(filter.metadata ?? {})
  const { aggregate } = filter
  if (conditions.length === 0 && aggregate === undefined)
    return (record) => types === undefined || types.has(record.type)
  return (record) => {
    if (types !== undefined && !types.has(record.type)) return false
    const metadata: Readonly<Record<string, unknown>> = metadataOf(record)
    if (aggregate !== undefined && !isOfAggregate(metadata[AGGREGATE_KEY], aggregate)) return false
    return conditions.every(([key, condition]) =>
      isMet(condition, Object.hasOwn(metadata, key) ? metadata[key] : undefined),
    )
  }
}

function isOfAggregate(value: unknown, { type, id }: { readonly type: string; readonly id?: string }): boolean {
  return isObject(value) && value['type'] === type && (id === undefined || value['id'] === id)
}

function isMet(condition: MetadataCondition, value: unknown): boolean {
  if ('equals' in condition) return isSame(value, condition.equals)
  if ('in' in condition) return condition.in.some((one) => isSame(value, one))
  if ('exists' in condition) return (value !== undefined) === condition.exists
  const { from, to } = condition.range
  if (typeof value !== typeof (from ?? to)) return false
  const compared = value as string | number
  return (from === undefined || compared >= from) && (to === undefined || compared <= to)
}

/** A number is the same as a bigint of its value: what travels does not keep the two apart where they are small. */
function isSame(value: unknown, other: Comparable): boolean {
  return value === other || (typeof value === 'bigint' && isCount(other) && value === BigInt(other))
}

function isComparable(value: unknown): value is Comparable {
  return value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}
