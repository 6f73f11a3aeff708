/**
 * Arbitraries from JSON Schema (draft 2020-12), for what schema libraries make of the payloads that people write.
 * What is not looked at here (a `not`, a `multipleOf` of a fraction, lengths beside a pattern …) makes values that the
 * schema refuses afterwards; only what gives nothing to begin with is an error.
 */
import * as fc from 'fast-check'

interface Node {
  readonly [keyword: string]: unknown
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
}

interface Place {
  /** The whole schema, which references point into. */
  readonly root: unknown
  /** Names the part in errors. */
  readonly path: string
  /** References that were followed to come here. */
  readonly followed: readonly string[]
}

/** What contains itself does so this often. */
const DEPTH_MAX = 3
const ITEMS_MAX = 5
const ANNOTATIONS = ['$schema', 'default', 'description', 'title', 'examples']

/** A part contains itself, and is left out here. */
class TooDeep extends Error {}

/** @throws an error that names the part that nothing can be derived from */
export function arbitraryFromJson(schema: unknown): fc.Arbitrary<unknown> {
  return derive(schema, { root: schema, path: '', followed: [] })
}

/** Undefined where the part would go too deep. */
function shallow(schema: unknown, place: Place): fc.Arbitrary<unknown> | undefined {
  try {
    return derive(schema, place)
  } catch (error) {
    if (error instanceof TooDeep) return undefined
    throw error
  }
}

function follow(ref: string, { root, path, followed }: Place): fc.Arbitrary<unknown> {
  if (followed.filter((other) => other === ref).length === DEPTH_MAX)
    throw new TooDeep(`the schema contains itself without end${at({ path })}`)
  return derive(resolve(root, ref), { root, path, followed: [...followed, ref] })
}

function oneOf(schemas: readonly unknown[], place: Place): fc.Arbitrary<unknown> {
  const all = schemas.map((one) => shallow(one, place)).filter((one) => one !== undefined)
  if (all.length === 0) throw new TooDeep(`the schema contains itself without end${at(place)}`)
  return fc.oneof(...all)
}

/** A part of the schema by its JSON pointer. */
function resolve(schema: unknown, ref: string): unknown {
  if (!ref.startsWith('#')) throw new Error(`a schema refers to '${ref}', which is outside of it`)
  const steps = ref.split('/').slice(1)
  const keys = steps.map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'))
  return keys.reduce((node, key) => (node as Node | undefined)?.[key], schema)
}

function derive(schema: unknown, place: Place): fc.Arbitrary<unknown> {
  if (schema === true) return fc.jsonValue()
  if (typeof schema !== 'object' || schema === null) throw underivable(schema, place)
  const node = schema as Node
  if (typeof node.$ref === 'string') return follow(node.$ref, place)
  if ('const' in node) return fc.constant(node.const)
  if (Array.isArray(node.enum)) return fc.constantFrom(...(node.enum as unknown[]))
  for (const choice of [node.anyOf, node.oneOf]) {
    if (Array.isArray(choice)) return oneOf(choice, place)
  }
  if (Array.isArray(node.allOf)) return allOf(node.allOf, place)
  if (Array.isArray(node.type)) {
    return oneOf(
      (node.type as string[]).map((type) => ({ ...node, type })),
      place,
    )
  }
  return ofType(node, place)
}

function ofType(node: Node, place: Place): fc.Arbitrary<unknown> {
  switch (String(node.type)) {
    case 'string':
      return ofString(node, place)
    case 'integer':
      return ofInteger(node)
    case 'number':
      return ofNumber(node)
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return ofArray(node, place)
    case 'object':
      return ofObject(node, place)
    default:
      break
  }
  // Without a word about its values, anything will do.
  if (Object.keys(node).every((key) => ANNOTATIONS.includes(key))) return fc.jsonValue()
  throw underivable(node, place)
}

/** Objects that must be all of these at once. */
function allOf(schemas: readonly unknown[], place: Place): fc.Arbitrary<unknown> {
  if (schemas.length === 1) return derive(schemas[0], place)
  if (!schemas.every((one) => isObjectSchema(one))) throw underivable({ allOf: schemas }, place)
  return fc.tuple(...schemas.map((one) => derive(one, place))).map((parts) => Object.assign({}, ...parts) as unknown)
}

function isObjectSchema(schema: unknown): boolean {
  const { type, $ref } = (schema ?? {}) as Node
  return type === 'object' || $ref !== undefined
}

function ofObject(node: Node, place: Place): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = node
  const under = (key: string): Place => ({ ...place, path: `${place.path}.${key}` })
  const named = Object.entries(properties).flatMap(([key, value]) => {
    const arbitrary = required.includes(key) ? derive(value, under(key)) : shallow(value, under(key))
    return arbitrary === undefined ? [] : [[key, arbitrary] as const]
  })
  const record = fc.record(Object.fromEntries(named), {
    requiredKeys: required.filter((key) => Object.hasOwn(properties, key)),
    noNullPrototype: true,
  })
  if (typeof additionalProperties !== 'object' || additionalProperties === null) return record
  const keys = derive(node.propertyNames ?? { type: 'string' }, under('key')) as fc.Arbitrary<string>
  const values = shallow(additionalProperties, under('*'))
  if (values === undefined) return record
  const others = fc.dictionary(keys, values, { maxKeys: ITEMS_MAX, noNullPrototype: true })
  return fc.tuple(others, record).map(([more, own]) => ({ ...more, ...own }))
}

function ofArray(node: Node, place: Place): fc.Arbitrary<unknown> {
  const {
    prefixItems = [],
    items,
    uniqueItems,
  } = node as { prefixItems?: unknown[]; items?: unknown; uniqueItems?: boolean }
  const first = prefixItems.map((item, i) => derive(item, { ...place, path: `${place.path}[${i}]` }))
  if (items === false || (items === undefined && first.length > 0)) return fc.tuple(...first)
  const minLength = Math.max(0, bound(node.minItems, 0) - first.length)
  const maxLength = Math.max(minLength, Math.min(bound(node.maxItems, Infinity) - first.length, minLength + ITEMS_MAX))
  const within = { ...place, path: `${place.path}[]` }
  const item = minLength > 0 ? derive(items ?? true, within) : shallow(items ?? true, within)
  if (item === undefined) return fc.tuple(...first)
  const rest = uniqueItems
    ? fc.uniqueArray(item, { minLength, maxLength, selector: (value) => JSON.stringify(value) })
    : fc.array(item, { minLength, maxLength })
  return first.length === 0 ? rest : fc.tuple(fc.tuple(...first), rest).map(([head, tail]) => [...head, ...tail])
}

function ofInteger(node: Node): fc.Arbitrary<number> {
  const step = Number.isSafeInteger(node.multipleOf) ? (node.multipleOf as number) : 1
  const min = Math.max(
    Math.ceil(bound(node.minimum, -Infinity)),
    Math.floor(bound(node.exclusiveMinimum, -Infinity)) + 1,
  )
  const max = Math.min(Math.floor(bound(node.maximum, Infinity)), Math.ceil(bound(node.exclusiveMaximum, Infinity)) - 1)
  const lowest = Math.max(min, Number.MIN_SAFE_INTEGER)
  const highest = Math.min(max, Number.MAX_SAFE_INTEGER)
  return fc
    .integer({ min: Math.ceil(lowest / step) + 0, max: Math.floor(highest / step) + 0 })
    .map((times) => times * step)
}

function ofNumber(node: Node): fc.Arbitrary<number> {
  const below = bound(node.exclusiveMaximum, Infinity)
  const above = bound(node.exclusiveMinimum, -Infinity)
  const min = Math.max(bound(node.minimum, -Number.MAX_VALUE), above)
  const max = Math.min(bound(node.maximum, Number.MAX_VALUE), below)
  const limits = { min, max, minExcluded: min === above, maxExcluded: max === below }
  // Zero has no sign in the log.
  const fraction = fc.double({ ...limits, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
  const hasWhole = Math.ceil(min) + 1 < Math.floor(max)
  return hasWhole ? fc.oneof(ofInteger(node), fraction) : fraction
}

function ofString(node: Node, place: Place): fc.Arbitrary<string> {
  const format = FORMATS[String(node.format)]
  if (format !== undefined) return format()
  if (typeof node.pattern === 'string') {
    try {
      return fc.stringMatching(new RegExp(node.pattern))
    } catch (error) {
      throw new Error(
        `no text can be derived from the pattern ${node.pattern}${at(place)}: ${(error as Error).message}`,
        {
          cause: error,
        },
      )
    }
  }
  const minLength = bound(node.minLength, 0)
  const maxLength = bound(node.maxLength, Infinity)
  return fc.string({ minLength, ...(Number.isFinite(maxLength) && { maxLength }) })
}

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/)
const moment = fc
  .date({ min: new Date(0), max: new Date(Date.UTC(2100, 0, 1)), noInvalidDate: true })
  .map((date) => date.toISOString())

const FORMATS: Readonly<Record<string, (() => fc.Arbitrary<string>) | undefined>> = {
  uuid: () => fc.uuid({ version: [1, 4, 7] }),
  email: () => fc.tuple(word, word).map(([name, host]) => `${name}@${host}.org`),
  uri: () => fc.tuple(word, word).map(([host, path]) => `https://${host}.org/${path}`),
  hostname: () => word.map((host) => `${host}.org`),
  ipv4: () => fc.ipV4(),
  ipv6: () => fc.ipV6(),
  date: () => moment.map((text) => text.slice(0, 10)),
  'date-time': () => moment,
  time: () => moment.map((text) => text.slice(11, 19)),
}

function bound(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}

function underivable(schema: unknown, place: Place): Error {
  return new Error(`no values can be derived from ${JSON.stringify(schema)}${at(place)}`)
}

function at({ path }: Pick<Place, 'path'>): string {
  return path === '' ? '' : ` at ${path}`
}
