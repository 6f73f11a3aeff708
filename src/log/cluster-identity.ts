/** `cluster.json`: whose the data is and how it is laid out. Written once and never changed. */
import { checkOf } from './checked-json.ts'

/** Fixed for the life of the data. */
export interface ClusterIdentity {
  readonly format: number
  readonly clusterId: string
  readonly name: string
  readonly shards: number
}

/** For humans too, so that it is spread over lines; the last key is a CRC-32 of the others. */
export function encodeIdentity({ format, clusterId, name, shards }: ClusterIdentity): Uint8Array {
  const identity = { format, clusterId, name, shards }
  return textOf({ ...identity, check: checkOf(JSON.stringify(identity)) })
}

/** Undefined where these are not the very bytes that were written. */
export function decodeIdentity(content: Uint8Array): ClusterIdentity | undefined {
  try {
    const identity = JSON.parse(Buffer.from(content).toString('utf8')) as ClusterIdentity
    return Buffer.from(content).equals(encodeIdentity(identity)) ? identity : undefined
  } catch {
    return undefined
  }
}

function textOf(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`)
}
