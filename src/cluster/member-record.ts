/**
 * What a lease store gives back as a member, read as strictly as what comes over the wire: whoever can write to the store
 * may be of another version, or mistaken. Keys that are not known here are a later version's.
 */
import { isCount } from '../log/count.ts'
import { isMemberId, MEMBER_STATES, type Member } from './leases.ts'
import { parseAddress } from './network.ts'

/** What a config may set at most. */
export const WORKERS_MAX = 256
export const WEIGHT_MAX = 1_000

/** Undefined for what is none. */
export function parseMember(json: string): Member | undefined {
  try {
    return toMember(JSON.parse(json))
  } catch {
    return undefined
  }
}

function toMember(value: unknown): Member | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { id, name, address, workers, weight, protocol, state, away, unable } = value as Record<string, unknown>
  if (typeof id !== 'string' || !isMemberId(id) || typeof name !== 'string' || !isAddress(address)) return undefined
  if (!isCount(workers) || workers < 1 || workers > WORKERS_MAX) return undefined
  // Above 0, not from 1 on: shares are made of it, and nothing else.
  if (typeof weight !== 'number' || !(weight > 0 && weight <= WEIGHT_MAX)) return undefined
  const known = MEMBER_STATES.find((each) => each === state)
  if (!isCount(protocol) || protocol < 1 || known === undefined) return undefined
  if (!areNumbers(away) || !areNumbers(unable)) return undefined
  const lists = { ...(away && { away }), ...(unable && { unable }) }
  return { id, name, address, workers, weight, protocol, state: known, ...lists }
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && parseAddress(value).port > 0
}

function areNumbers(value: unknown): value is readonly number[] | undefined {
  return value === undefined || (Array.isArray(value) && value.every(isCount))
}
