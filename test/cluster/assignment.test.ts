import { expect, test } from 'vitest'
import { assign } from '../../src/cluster/assignment.ts'
import type { Lease, Member } from '../../src/cluster/leases.ts'

const SHARDS = 12

function member(id: string, more: Partial<Member> = {}): Member {
  return { id, name: id, address: `${id}:1`, workers: 2, weight: 1, protocol: 1, state: 'up', ...more }
}

/** What each worker has, with what all have now. */
function shares(owners: readonly string[] | undefined): Record<string, number> {
  const shards = Map.groupBy(owners ?? [], (owner) => owner)
  return Object.fromEntries([...shards].map(([owner, list]) => [owner, list.length]))
}

function leasesOf(owners: readonly string[]): Lease[] {
  return owners.map((owner, shard) => {
    const [id, worker] = owner.split('/')
    return { shard, member: id!, worker: Number(worker), epoch: 1, remainingMs: 1 }
  })
}

test('a worker that is away is given nothing, and those beside it have the share of their member', () => {
  const both = assign([member('a'), member('b')], [], SHARDS)!
  expect(shares(both)).toEqual({ 'a/0': 3, 'a/1': 3, 'b/0': 3, 'b/1': 3 })
  const left = assign([member('a'), member('b', { away: [0] })], leasesOf(both), SHARDS)!
  expect(shares(left)).toEqual({ 'a/0': 3, 'a/1': 3, 'b/1': 6 })
  // Nobody else's shards move.
  for (const [shard, owner] of both.entries()) if (owner !== 'b/0') expect(left[shard]).toBe(owner)
})

test('where nobody is up, nobody wants any', () => {
  expect(assign([member('a', { state: 'joining' }), member('b', { state: 'draining' })], [], SHARDS)).toBeUndefined()
  expect(assign([member('a', { away: [0, 1] })], [], SHARDS)).toBeUndefined()
})

test('what a member cannot serve goes to others and stays there, and what nobody can stays where it is', () => {
  const unable = [0, 1, 2, 3]
  const members = [member('a'), member('b', { unable })]
  const alone = assign([member('a')], [], SHARDS)!
  const first = assign(members, leasesOf(alone), SHARDS)!
  for (const shard of unable) expect(first[shard]).toBe(alone[shard])
  expect(assign(members, leasesOf(first), SHARDS)).toEqual(first)
  const three = [...members, member('c')]
  const second = assign(three, leasesOf(first), SHARDS)!
  for (const shard of unable) expect(second[shard]).not.toMatch(/^b/)
  expect(assign(three, leasesOf(second), SHARDS)).toEqual(second)
  const both = [member('a', { unable }), member('b', { unable })]
  const stuck = assign(both, leasesOf(first), SHARDS)!
  for (const shard of unable) expect(stuck[shard]).toBe(first[shard])
})
