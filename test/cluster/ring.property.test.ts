import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRing, describeRing, shardsOf, type Ring, type RingWorker } from '../../src/cluster/ring.ts'
import { modelRing } from './ring-model.ts'

const workers = (count: number): RingWorker[] =>
  Array.from({ length: count }, (_, i) => ({ name: `node-${i % 7}/${i}`, weight: 1 }))

const sizes = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 512 }))

function moved(before: Ring, after: Ring): number[] {
  return after.owners.flatMap((owner, shard) => (owner === before.owners[shard] ? [] : [shard]))
}

function expectShares(ring: Ring, among: readonly RingWorker[], shards: number): void {
  const total = among.reduce((sum, { weight }) => sum + weight, 0)
  expect(ring.owners.filter((owner) => owner !== undefined)).toHaveLength(shards)
  for (const { name, weight } of among) {
    const share = (shards * weight) / total
    const has = shardsOf(ring, name).length
    expect(has).toBeLessThanOrEqual(Math.ceil(share * 1.25))
    expect(has).toBeLessThanOrEqual(Math.ceil(share))
    if (among.every((other) => other.weight === weight)) expect(has).toBeGreaterThanOrEqual(Math.floor(share))
  }
}

test('every shard has one worker, and no worker more than its share, rounded up', () => {
  const weighted = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(sizes, weighted, ([count, shards], weights) => {
      expectShares(createRing(workers(count), shards), workers(count), shards)
      const heavy = weights.map((weight, i) => ({ name: `w${i}`, weight }))
      expectShares(createRing(heavy, shards), heavy, shards)
    }),
  )
})

test('one that joins n others takes its share, and nothing else moves', () => {
  fc.assert(
    fc.property(sizes, ([count, shards]) => {
      const before = createRing(workers(count), shards)
      const joined = { name: 'new/0', weight: 1 }
      const after = createRing([...workers(count), joined], shards, before.owners)
      const moves = moved(before, after)
      expect(moves.every((shard) => after.owners[shard] === joined.name)).toBe(true)
      expect(moves.length).toBeLessThanOrEqual(Math.ceil(shards / (count + 1)))
      expect(moves.length).toBeGreaterThanOrEqual(Math.floor(shards / (count + 1)))
    }),
  )
})

test('what one that leaves had goes to the others, and nothing else moves', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 512 }), fc.nat(), (count, shards, which) => {
      const all = workers(count)
      const { name } = all[which % count]!
      const before = createRing(all, shards)
      const left = all.filter((worker) => worker.name !== name)
      const after = createRing(left, shards, before.owners)
      expect(moved(before, after)).toEqual(shardsOf(before, name))
      expectShares(after, left, shards)
    }),
  )
})

test('whatever joined and left, shares are kept, a ring that fits stays as it is, and the order of names is nothing', () => {
  const change = fc.record({ worker: fc.nat({ max: 12 }), isJoining: fc.boolean() })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.constantFrom(1, 7, 64, 100), (changes, shards) => {
      const members = new Set(['w0'])
      let ring = createRing([{ name: 'w0', weight: 1 }], shards)
      for (const { worker, isJoining } of changes) {
        if (isJoining) members.add(`w${worker}`)
        else if (members.size > 1) members.delete(`w${worker}`)
        const among = [...members].map((name) => ({ name, weight: 1 }))
        const next = createRing(among, shards, ring.owners)
        expect(createRing(among.toReversed(), shards, ring.owners)).toEqual(next)
        expect(createRing(among, shards, next.owners)).toEqual(next)
        for (const { name } of among) {
          expect(shardsOf(next, name).length).toBeLessThanOrEqual(Math.ceil(shards / members.size))
        }
        ring = next
      }
    }),
  )
})

test('it is the ring that the rule says, to the shard: nodes of two versions compute the same', () => {
  const weights = fc.array(fc.constantFrom(1, 1, 1, 2, 5, 1 / 3), { minLength: 1, maxLength: 9 })
  // Some are owned by nobody, some by one who is gone, and much by the same few.
  const owners = fc.array(fc.oneof(fc.constant(undefined), fc.nat(9), fc.nat(2)), { maxLength: 70 })
  fc.assert(
    fc.property(weights, owners, fc.integer({ min: 1, max: 70 }), fc.nat(), (each, current, shards, salt) => {
      const among = each.map((weight, i) => ({ name: `${salt}-${i}/0`, weight }))
      const before = current.slice(0, shards).map((owner) => (owner === undefined ? undefined : `${salt}-${owner}/0`))
      const { owners: computed } = createRing(among, shards, before)
      expect(computed).toEqual(modelRing(among, shards, before))
      expect(createRing(among.toReversed(), shards, before).owners).toEqual(computed)
    }),
  )
})

test('in whichever order workers are named, also where their weights add up to another sum in another one', () => {
  const weights = [5, 1, 2, 1, 1, 1 / 3, 1, 2, 1]
  const among = weights.map((weight, i) => ({ name: `0-${i}/0`, weight }))
  expect(createRing(among.toReversed(), 43)).toEqual(createRing(among, 43))
})

test('the ring prints itself for humans', () => {
  expect(describeRing(createRing(workers(2), 8))).toMatch(/^node-0\/0: [\d ]+\nnode-1\/1: [\d ]+$/)
})
