import { expect, test } from 'vitest'
import type { Lease, Member, View } from '../../src/cluster/leases.ts'
import { MissingMembers } from '../../src/cluster/missing-members.ts'

const member = (id: string, state: Member['state'] = 'up'): Member => ({
  id,
  name: `node-${id}`,
  address: `127.0.0.1:740${id}`,
  workers: 1,
  weight: 1,
  protocol: 1,
  state,
})
const TTL_MS = 3_000
const lease = (shard: number, of: string, remainingMs = TTL_MS): Lease => {
  return { shard, member: of, worker: 0, epoch: 1, remainingMs }
}
const view = (members: readonly Member[], leases: readonly Lease[] = [], isSettling = false): View => ({
  cluster: { clusterId: 'x', shards: 8 },
  time: 0,
  members,
  leases,
  isSettling,
})

function told(...views: readonly View[]): readonly string[] {
  const warnings: string[] = []
  const missing = new MissingMembers(TTL_MS, (message) => warnings.push(message))
  for (const each of views) missing.see(each)
  return warnings
}

test('whose leases have run out is told once, with what it had', () => {
  const [a, b] = [member('1'), member('2')]
  const both = view([a, b], [lease(0, '1'), lease(1, '2', 900), lease(2, '2', 900)])
  const alone = view([a], [lease(0, '1'), lease(1, '1')])
  expect(told(both, alone, alone)).toEqual([
    "the node 'node-2' at 127.0.0.1:7402 has gone without a word, with 2 shards: it has crashed, hangs, or does not reach the lease store. Others serve them from here on.",
  ])
  expect(told(both, alone, both, alone)).toHaveLength(2)
})

test('who leaves, comes or stays is no matter of it, nor who had nothing', () => {
  const [a, b] = [member('1'), member('2')]
  expect(told(view([a, b], [lease(0, '2', 2_100)]), view([a]), view([a, member('3', 'joining')]), view([a]))).toEqual(
    [],
  )
  expect(told(view([a, b], [lease(0, '2', 900)]), view([a, b], [lease(0, '2')]), view([a]))).toEqual([])
})

test('of a store that has just forgotten everything nobody is missing, and of one that has settled who did not come back', () => {
  const all = [member('1'), member('2'), member('3')]
  const leases = all.map(({ id }, shard) => lease(shard, id, 100))
  const settling = view([member('1')], [], true)
  expect(told(view(all, leases), settling, view(all))).toEqual([])
  expect(told(view(all, leases), settling, view(all.slice(1)))).toEqual([expect.stringContaining("'node-1'") as string])
})
