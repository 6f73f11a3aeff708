import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRing, describeRing, shardsOf } from '../../src/cluster/ring.ts'

const workers = (count: number): string[] => Array.from({ length: count }, (_, i) => `worker-${i}`)

test('every shard has one worker, and no worker more than 1.25 times its share', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 512 }), (count, shards) => {
      const ring = createRing(workers(count), shards)
      expect(ring.owners).toHaveLength(shards)
      for (const worker of workers(count)) {
        expect(shardsOf(ring, worker).length).toBeLessThanOrEqual(Math.ceil((shards / count) * 1.25))
      }
    }),
  )
})

test('the ring does not depend on the order in which workers are named', () => {
  const names = workers(5)
  expect(createRing(names.toReversed(), 64)).toEqual(createRing(names, 64))
})

test('the ring prints itself for humans', () => {
  expect(describeRing(createRing(workers(2), 8))).toMatch(/^worker-0: [\d ]+\nworker-1: [\d ]+$/)
})
