/**
 * Comparing values as the log sees them: what two values differ in that an encoding would not level out. Keys without a
 * value, the sign of zero and a missing prototype do not count.
 */
import { isDeepStrictEqual } from 'node:util'
import { describeValue } from './describe.ts'

/** The first place where two values differ, with both values there; undefined where they are the same. */
export function difference(one: unknown, other: unknown, path = ''): string | undefined {
  if (Object.is(one, other) || (one === 0 && other === 0)) return undefined
  if (Array.isArray(one) && Array.isArray(other) && one.length === other.length) {
    return firstOf(one.keys(), (i) => difference(one[i], other[i], `${path}[${i}]`))
  }
  if (isRecord(one) && isRecord(other)) {
    const keys = new Set([...Object.keys(one), ...Object.keys(other)])
    return firstOf(keys, (key) => difference(one[key], other[key], `${path}.${key}`))
  }
  if (isDeepStrictEqual(one, other)) return undefined
  return `${path === '' ? '' : `${path}: `}${describeValue(one)} and ${describeValue(other)}`
}

function firstOf<Key>(keys: Iterable<Key>, find: (key: Key) => string | undefined): string | undefined {
  for (const key of keys) {
    const found = find(key)
    if (found !== undefined) return found
  }
  return undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
