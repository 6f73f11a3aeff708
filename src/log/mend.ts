/** Small files of which one bit is flipped: the content that they had. */
import { decodeClaim } from './claim.ts'
import { decodeIdentity } from './cluster-identity.ts'

/** The content with the one bit set right that makes it a claim of this epoch. */
export function mendClaim(content: Uint8Array, shard: number, epoch: number): Uint8Array | undefined {
  return flipped(content, (bytes) => decodeClaim(bytes, shard, epoch))
}

/** The content with the one bit set right that makes it a cluster's identity. */
export function mendIdentity(content: Uint8Array): Uint8Array | undefined {
  return flipped(content, decodeIdentity)
}

const BYTES_MAX = 4096

function flipped(content: Uint8Array, read: (bytes: Uint8Array) => unknown): Uint8Array | undefined {
  if (content.length > BYTES_MAX) return undefined
  const bytes = Uint8Array.from(content)
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    bytes[bit >>> 3]! ^= 1 << (bit & 7)
    if (read(bytes) !== undefined) return bytes
    bytes[bit >>> 3]! ^= 1 << (bit & 7)
  }
  return undefined
}
