import { expect, test } from 'vitest'
import { toText, type Answer } from '../../src/cli/cluster-picture.ts'
import { follow } from '../../src/cli/drain.ts'
import { lookAt } from '../../src/cli/status.ts'
import { clusterNotFound } from '../../src/cluster/error.ts'
import type { Lease, Member, View } from '../../src/cluster/leases.ts'

const member = (name: string, state: Member['state'] = 'up'): Member => ({
  id: `${name}-id`,
  name,
  address: '127.0.0.1:7400',
  workers: 1,
  weight: 1,
  protocol: 1,
  state,
})
const leases = (name: string, ...shards: number[]): Lease[] =>
  shards.map((shard) => ({ shard, member: `${name}-id`, worker: 0, epoch: 1, remainingMs: 3_000 }))
const view = (members: readonly Member[], held: readonly Lease[], isSettling = false): View => ({
  cluster: { clusterId: 'c', shards: 4 },
  time: 0,
  members,
  leases: held,
  isSettling,
})

function shown(of: View, answers: Readonly<Record<string, Answer>>): string {
  const byId = new Map(Object.entries(answers).map(([name, answer]) => [`${name}-id`, answer]))
  return toText({ name: 'bank', leaseMs: 3_000, view: of, answers: byId, apart: new Set(), inboxes: [] }, false)
}

const lag = { state: 'writes', journal: 1, records: 0, bytes: 0, oldestMs: 0 } as const
const speaks: Answer = { workers: [lag], shards: [], projections: [], reactors: [], inboxes: [], wheels: undefined }

test('nodes are shown in the order of their names, and numbers in those count', async () => {
  const told = view([member('node-10'), member('b'), member('node-2')], [])
  const { members } = await lookAt('bank', { look: async () => told })
  expect(members.map(({ name }) => name)).toEqual(['b', 'node-2', 'node-10'])
})

test('of shards whose owner does not answer it is not said that all is well', () => {
  const both = view([member('a'), member('b')], [...leases('a', 0, 1), ...leases('b', 2, 3)])
  expect(shown(both, { a: speaks, b: speaks })).toContain('every shard has an owner')
  const dead = shown(both, { a: speaks, b: { silence: 'nobody answers', isRefused: false } })
  expect(dead).toContain('2 shards are with b, which does not answer')
  expect(dead).toMatch(/^b +0 +2 +silent/m)
  expect(dead).not.toContain('every shard has an owner')
  const stranger = shown(both, { a: speaks, b: { silence: 'another secret', isRefused: true } })
  expect(stranger).toContain('2 shards are with b, which refuses')
  expect(stranger).toMatch(/^b +0 +2 +refuses/m)
})

test('while Redis is settling shards are not said to be without an owner', () => {
  const early = view([member('a')], leases('a', 0), true)
  expect(shown(early, { a: speaks })).toContain('not told yet who owns 3 shards (1, 2, 3): Redis is settling')
  expect(shown(early, { a: speaks })).not.toContain('without an owner')
  expect(shown({ ...early, isSettling: false }, { a: speaks })).toContain('without an owner: 3 shards')
})

test('a node is not said to be drained by a Redis that was emptied and is told again', async () => {
  const [going, heir] = [member('a', 'draining'), member('b')]
  const looks: (View | Error)[] = [
    view([going, heir], [...leases('a', 0, 1), ...leases('b', 2, 3)]),
    clusterNotFound('bank'),
    view([heir], leases('b', 2, 3), true),
    view([], [], true),
    view([going, heir], [...leases('a', 0), ...leases('b', 1, 2, 3)]),
    view([going, heir], leases('b', 0, 1, 2, 3)),
  ]
  const said: string[] = []
  const say = (text: string): void => void said.push(text)
  const terminal = { out: say, err: say, isWatched: false, isScreen: false }
  const look = async (): Promise<View> => {
    const next = looks.shift()!
    if (next instanceof Error) throw next
    return next
  }
  const { signal } = new AbortController()
  const watch = { look, member: going, signal, patienceMs: 60_000, terminal, isJson: false }
  expect(await follow(watch)).toBe(0)
  expect([said, looks]).toEqual([['a has 2 shards', 'a has 1 shard', 'a has no shards'], []])
})

test('a cluster that stays unknown is told as such', async () => {
  const terminal = { out: () => undefined, err: () => undefined, isWatched: false, isScreen: false }
  const look = (): Promise<View> => Promise.reject(clusterNotFound('bank'))
  const { signal } = new AbortController()
  const watch = { look, member: member('a'), signal, patienceMs: 0, terminal, isJson: false }
  await expect(follow(watch)).rejects.toMatchObject({ code: 'ClusterNotFound' })
})
