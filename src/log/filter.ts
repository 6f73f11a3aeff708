/**
 * A Bloom filter over 64-bit hashes (Bloom 1970; two base hashes after Kirsch and Mitzenmacher 2006): 10 bits a key and
 * 7 probes, so that a lookup reads one in a hundred of the files that do not have what it looks for.
 */
const BITS_PER_KEY = 10
const PROBES = 7

export function createFilter(keys: number): Uint8Array {
  return new Uint8Array(Math.ceil((Math.max(keys, 1) * BITS_PER_KEY) / 64) * 8)
}

export function addToFilter(filter: Uint8Array, high: number, low: number): void {
  const bits = filter.length * 8
  for (let probe = 0; probe < PROBES; probe += 1) {
    const bit = probeBit(high, low, probe, bits)
    filter[bit >>> 3]! |= 1 << (bit & 7)
  }
}

/** False only where the key was never added. */
export function mayContain(filter: Uint8Array, high: number, low: number): boolean {
  const bits = filter.length * 8
  for (let probe = 0; probe < PROBES; probe += 1) {
    const bit = probeBit(high, low, probe, bits)
    if ((filter[bit >>> 3]! & (1 << (bit & 7))) === 0) return false
  }
  return true
}

function probeBit(high: number, low: number, probe: number, bits: number): number {
  return ((high + Math.imul(probe, low | 1)) >>> 0) % bits
}
