/** Chance that comes from a seed: the same dice fall the same way every time. */
export interface Dice {
  /** From 0 up to, not including, 1. */
  fraction(): number
  /** True about so often, of 1. */
  chance(share: number): boolean
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number
  /** One of the keys, each about as often as its weight says. */
  pick<K extends string>(weights: { readonly [key in K]?: number }): K
}

/** The dice number `index` of a seed; each of them falls in its own way. */
export function createDice(seed: number, index: number): Dice {
  let state = Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)
  // Mulberry32 (Tommy Ettinger, public domain).
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    fraction,
    chance: (share) => fraction() < share,
    below: (limit) => Math.floor(fraction() * limit),
    pick: (weights) => pick(Object.entries(weights) as [never, number][], fraction()),
  }
}

function pick<K extends string>(weights: readonly (readonly [K, number])[], fraction: number): K {
  let left = fraction * weights.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [key, weight] of weights) {
    left -= weight
    if (left < 0) return key
  }
  return weights.at(-1)![0]
}
