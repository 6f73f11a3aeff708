import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Beat, Leases, Member, View } from '../../src/cluster/leases.ts'
import { LeasesModel, type Seen } from './leases-model.ts'
import { inTime } from '../in-time.ts'

export interface LeasesUnderTest {
  /** Who of all that share the store; each has a connection of its own. */
  connect(who: string): Leases
  /** So much later by the store's clock. */
  passTime(ms: number): Promise<void>
  /** The store loses all it knows. */
  forget(): Promise<void>
  cleanUp(): Promise<void>
}

/** Long, so that what really goes by during a test does not count. */
export const TTL = 600_000
/** What may really go by during a test. */
const SLACK = 60_000
const CLUSTER = { clusterId: '0198c0de-0000-7000-8000-000000000001', shards: 64 }

export function memberOf(id: string, fields: Partial<Member> = {}): Member {
  const address = `10.0.0.1:${7000 + id.charCodeAt(0)}`
  return { id, name: `node ${id} ü\n`, address, workers: 2, weight: 1, protocol: 1, state: 'up', ...fields }
}

export function beatOf(id: string, fields: Partial<Beat> = {}): Beat {
  return {
    cluster: CLUSTER,
    member: memberOf(id),
    ttlMs: TTL,
    hold: [],
    want: [],
    release: [],
    isNew: false,
    ...fields,
  }
}

/** "shard member worker epoch" of each lease. */
export function held({ leases }: Pick<View, 'leases'>): readonly string[] {
  return leases.map(({ shard, member, worker, epoch }) => `${shard} ${member} ${worker} ${epoch}`)
}

export function ids({ members }: View): readonly string[] {
  return members.map(({ id }) => id)
}

/** What every implementation of the leases port must keep. */
export function testLeasesContract(name: string, create: () => Promise<LeasesUnderTest>): void {
  describe(`${name} keeps the leases port's promise`, () => {
    let subject: LeasesUnderTest
    let a: Leases
    let b: Leases
    let c: Leases
    beforeEach(async () => {
      subject = await create()
      ;[a, b, c] = [subject.connect('a'), subject.connect('b'), subject.connect('c')]
    })
    afterEach(() => subject.cleanUp())

    /** A cluster of a and b with a few leases, for which nothing need be waited for. */
    const begin = async (): Promise<void> => {
      await a.beat(beatOf('a', { isNew: true, want: [{ shard: 1, worker: 0 }] }))
      await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] }))
      await b.beat(beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }] }))
    }

    test('a member is seen by all, with everything it told, and leases with it', async () => {
      const draining = memberOf('b', { state: 'draining', weight: 2.5, workers: 7, protocol: 2 })
      await a.beat(beatOf('a', { isNew: true }))
      const view = await b.beat(beatOf('b', { member: draining, want: [{ shard: 63, worker: 6 }] }))
      expect(view.members).toEqual([memberOf('a'), draining])
      expect(view.cluster).toEqual(CLUSTER)
      expect(held(view)).toEqual(['63 b 6 0'])
      expect(await c.look()).toMatchObject({ members: view.members, cluster: CLUSTER, isSettling: false })
    })

    test('a view says when it was, by the clock of the store, which goes on', async () => {
      const first = await a.beat(beatOf('a', { isNew: true }))
      expect(first.time).toBeGreaterThanOrEqual(Date.UTC(2026, 0, 1))
      await new Promise((resolve) => setTimeout(resolve, 2))
      const passed = (await b.look())!.time - first.time
      expect(passed > 0 && passed < SLACK).toBe(true)
    })

    test('nobody who looks sees a cluster where there is none', async () => {
      expect(await a.look()).toBeUndefined()
      await a.leave('a')
      expect(await a.look()).toBeUndefined()
    })

    test('of several that want a shard at once one is granted it', async () => {
      await a.beat(beatOf('a', { isNew: true }))
      const want = [0, 1, 2].map((shard) => ({ shard, worker: 0 }))
      const all = [a, b, c].map((leases, i) => leases.beat(beatOf('abc'[i]!, { want })))
      const [first] = await Promise.all(all)
      expect(held((await a.look())!)).toEqual(held(first!))
      expect(first!.leases.map(({ shard }) => shard)).toEqual([0, 1, 2])
      expect(new Set(first!.leases.map(({ member }) => member)).size).toBe(1)
    })

    test('what is wanted again is renewed, and goes to the worker that wants it now', async () => {
      await begin()
      await subject.passTime(TTL / 2)
      const view = await a.beat(beatOf('a', { want: [{ shard: 1, worker: 1 }] }))
      expect(held(view)).toContain('1 a 1 3')
      expect(view.leases[0]!.remainingMs).toBeGreaterThan(TTL - SLACK)
    })

    test('a lease lasts for one ttl after the beat that renewed it, and so does its member', async () => {
      await begin()
      for (let i = 0; i < 3; i += 1) {
        await subject.passTime(TTL * 0.6)
        await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] }))
      }
      const view = (await b.look())!
      expect(ids(view)).toEqual(['a'])
      expect(held(view)).toEqual(['1 a 0 3'])
      await subject.passTime(TTL * 0.6)
      expect(held((await b.look())!)).toEqual(['1 a 0 3'])
      await subject.passTime(TTL * 0.6)
      expect(await b.look()).toMatchObject({ members: [], leases: [] })
    })

    test('a lease that its member does not mention runs out when it would have', async () => {
      await begin()
      await subject.passTime(TTL * 0.5)
      const view = await a.beat(beatOf('a'))
      expect(held(view)).toContain('1 a 0 3')
      expect(view.leases[0]!.remainingMs).toBeLessThanOrEqual(TTL * 0.5)
      await subject.passTime(TTL * 0.3)
      expect(held(await a.beat(beatOf('a')))).toContain('1 a 0 3')
      await subject.passTime(TTL * 0.3)
      expect(held(await a.beat(beatOf('a')))).not.toContain('1 a 0 3')
    })

    test('a shard whose owner is gone is granted to the next that wants it, with no epoch yet', async () => {
      await begin()
      await subject.passTime(TTL * 0.5)
      await b.beat(beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }], want: [{ shard: 1, worker: 1 }] }))
      await subject.passTime(TTL * 0.6)
      const view = await b.beat(
        beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }], want: [{ shard: 1, worker: 1 }] }),
      )
      expect(ids(view)).toEqual(['b'])
      expect(held(view)).toEqual(['1 b 1 0', '2 b 1 5'])
      expect(view.isSettling).toBe(false)
    })

    test('what is released is free for whoever wants it; what another has cannot be released', async () => {
      await begin()
      expect(held(await b.beat(beatOf('b', { release: [{ shard: 1 }, { shard: 2 }] })))).toEqual(['1 a 0 3'])
      expect(held(await a.beat(beatOf('a', { release: [{ shard: 1 }], want: [{ shard: 2, worker: 0 }] })))).toEqual([
        '2 a 0 0',
      ])
      const view = await b.beat(beatOf('b', { release: [{ shard: 2, to: { member: 'b', worker: 0 } }] }))
      expect(held(view)).toEqual(['2 a 0 0'])
    })

    test('what is handed over is its new owner’s at once, for a ttl to take it up', async () => {
      await begin()
      const release = [{ shard: 1, to: { member: 'b', worker: 1 } }]
      expect(held(await a.beat(beatOf('a', { release, want: [] })))).toEqual(['1 b 1 0', '2 b 1 5'])
      expect(held(await a.beat(beatOf('a', { want: [{ shard: 1, worker: 0 }] })))).toContain('1 b 1 0')
      await subject.passTime(TTL * 0.5)
      await b.beat(beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }] }))
      await subject.passTime(TTL * 0.4)
      expect(held((await b.look())!)).toContain('1 b 1 0')
      await b.beat(beatOf('b', { want: [{ shard: 1, worker: 1 }] }))
      await subject.passTime(TTL * 0.8)
      expect(held((await b.look())!)).toEqual(['1 b 1 0'])
    })

    test('what is handed over and not taken up runs out, though its new owner lives', async () => {
      await begin()
      await a.beat(beatOf('a', { release: [{ shard: 1, to: { member: 'b', worker: 1 } }] }))
      await subject.passTime(TTL * 0.6)
      await b.beat(beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }] }))
      await subject.passTime(TTL * 0.6)
      expect(held(await b.beat(beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }] })))).toEqual(['2 b 1 5'])
    })

    test('a lease lasts no longer than its member, also one that was handed over', async () => {
      await begin()
      await subject.passTime(TTL * 0.5)
      await a.beat(beatOf('a', { release: [{ shard: 1, to: { member: 'b', worker: 1 } }] }))
      await subject.passTime(TTL * 0.6)
      expect(held(await a.beat(beatOf('a', { want: [{ shard: 1, worker: 0 }] })))).toEqual(['1 a 0 0'])
    })

    test('what is handed to a worker of the same member stays, and what is handed to nobody is free', async () => {
      await begin()
      const own = [{ shard: 1, to: { member: 'a', worker: 1 } }]
      expect(held(await a.beat(beatOf('a', { release: own })))).toContain('1 a 1 0')
      const gone = [{ shard: 1, to: { member: 'never-seen', worker: 1 } }]
      expect(held(await a.beat(beatOf('a', { release: gone })))).toEqual(['2 b 1 5'])
      await subject.passTime(TTL * 0.5)
      await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 4 }] }))
      await subject.passTime(TTL * 0.6)
      const late = [{ shard: 1, to: { member: 'b', worker: 1 } }]
      expect(held(await a.beat(beatOf('a', { release: late })))).toEqual([])
    })

    test('an owner keeps what another holds, unless the log’s word is newer', async () => {
      await begin()
      const claim = (epoch: number) => b.beat(beatOf('b', { hold: [{ shard: 1, worker: 0, epoch }] }))
      expect(held(await claim(2))).toContain('1 a 0 3')
      expect(held(await claim(3))).toContain('1 a 0 3')
      expect(held(await claim(4))).toContain('1 b 0 4')
      expect(held(await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] })))).toContain('1 b 0 4')
    })

    test('a store that has forgotten grants what is asserted, and for one ttl nothing that is merely wanted', async () => {
      await begin()
      await subject.forget()
      const want = [1, 2, 7].map((shard) => ({ shard, worker: 0 }))
      const first = await c.beat(beatOf('c', { want }))
      expect(first).toMatchObject({ isSettling: true, leases: [] })
      expect(held(await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] })))).toEqual(['1 a 0 3'])
      await subject.passTime(TTL * 0.5)
      expect(held(await c.beat(beatOf('c', { want })))).toEqual(['1 a 0 3'])
      await b.beat(beatOf('b', { release: [{ shard: 2, to: { member: 'c', worker: 1 } }] }))
      await subject.passTime(TTL * 0.4)
      await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] }))
      expect((await c.look())!.isSettling).toBe(true)
      await subject.passTime(TTL * 0.2)
      const view = await c.beat(beatOf('c', { want }))
      expect(view.isSettling).toBe(false)
      expect(held(view)).toEqual(['1 a 0 3', '2 c 0 0', '7 c 0 0'])
    })

    test('the nodes of a new cluster need not wait, whoever is first, and whether it has claimed meanwhile', async () => {
      const view = await a.beat(beatOf('a', { isNew: true, want: [{ shard: 1, worker: 0 }] }))
      expect(held(view)).toEqual(['1 a 0 0'])
      const second = await b.beat(beatOf('b', { isNew: false, want: [{ shard: 2, worker: 0 }] }))
      expect(held(second)).toEqual(['1 a 0 0', '2 b 0 0'])
    })

    test('after all have left, the next to start need not wait', async () => {
      await begin()
      await a.leave('a')
      expect(held((await c.look())!)).toEqual(['2 b 1 5'])
      await b.leave('b')
      await subject.passTime(TTL * 10)
      const view = await c.beat(beatOf('c', { want: [{ shard: 1, worker: 0 }] }))
      expect(view).toMatchObject({ isSettling: false, leases: [{ shard: 1, member: 'c' }] })
    })

    test('a store that has heard nobody for two beats may have been away, and gives owners time', async () => {
      await begin()
      await subject.passTime(TTL * 0.8)
      expect(await c.beat(beatOf('c', { want: [{ shard: 7, worker: 0 }] }))).toMatchObject({ isSettling: true })
      await subject.passTime(TTL * 0.5)
      const want = [1, 2, 7].map((shard) => ({ shard, worker: 0 }))
      expect(held(await c.beat(beatOf('c', { want })))).toEqual([])
      await subject.passTime(TTL * 0.4)
      expect(held(await c.beat(beatOf('c', { want })))).toEqual([])
      expect(held(await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }] })))).toEqual(['1 a 0 3'])
      await subject.passTime(TTL * 0.2)
      expect(held(await c.beat(beatOf('c', { want })))).toEqual(['1 a 0 3', '2 c 0 0', '7 c 0 0'])
    })

    test('a member that is alone has nobody to wait for', async () => {
      await a.beat(beatOf('a', { isNew: true, want: [{ shard: 1, worker: 0 }] }))
      await subject.passTime(TTL * 3)
      const view = await a.beat(beatOf('a', { want: [{ shard: 1, worker: 0 }] }))
      expect(view).toMatchObject({ isSettling: false, leases: [{ shard: 1, member: 'a', epoch: 0 }] })
    })

    test('a store that knows nobody, and is told of shards that are owned, was not asked for a while', async () => {
      await a.beat(beatOf('a', { isNew: true }))
      await a.leave('a')
      const want = [{ shard: 2, worker: 0 }]
      const view = await a.beat(beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 3 }], want }))
      expect(view.isSettling).toBe(true)
      expect(held(view)).toEqual(['1 a 0 3'])
    })

    test('a store that knows one alone, who has owned shards without its word, gives others time', async () => {
      await a.beat(beatOf('a', { isNew: true, want: [1, 2].map((shard) => ({ shard, worker: 0 })) }))
      await subject.passTime(TTL * 0.8)
      const hold = [{ shard: 1, worker: 0, epoch: 3 }]
      expect(await a.beat(beatOf('a', { hold }))).toMatchObject({ isSettling: true })
      await subject.passTime(TTL * 0.3)
      expect(held(await a.beat(beatOf('a', { hold, want: [{ shard: 2, worker: 0 }] })))).toEqual(['1 a 0 3'])
      expect(held(await b.beat(beatOf('b', { hold: [{ shard: 2, worker: 1, epoch: 5 }] })))).toContain('2 b 1 5')
    })

    test('where one is heard it does not settle: neither a slow one alone, nor one beside another that has stopped', async () => {
      const holdA = [{ shard: 1, worker: 0, epoch: 3 }]
      const holdB = [{ shard: 2, worker: 1, epoch: 5 }]
      await a.beat(beatOf('a', { isNew: true, hold: holdA }))
      await b.beat(beatOf('b', { hold: holdB }))
      for (let beats = 0; beats < 8; beats += 1) {
        await subject.passTime(TTL * 0.6)
        const want = beats === 0 ? [] : [{ shard: 2, worker: 0 }]
        expect(await a.beat(beatOf('a', { hold: holdA, want })), `beat ${beats}`).toMatchObject({ isSettling: false })
      }
      expect(held((await c.look())!)).toEqual(['1 a 0 3', '2 a 0 0'])
      // It goes on, and says what it held when it stopped.
      expect(held(await b.beat(beatOf('b', { hold: holdB })))).toEqual(['1 a 0 3', '2 b 1 5'])
    })

    test('one alone that has died is followed by another that waits for one ttl, and no longer', async () => {
      await a.beat(beatOf('a', { isNew: true, hold: [{ shard: 1, worker: 0, epoch: 3 }] }))
      await subject.passTime(TTL * 5)
      const want = [{ shard: 1, worker: 0 }]
      expect(await b.beat(beatOf('b', { want }))).toMatchObject({ isSettling: true, leases: [] })
      // It is slow, too, and has nothing of which the store would not know.
      await subject.passTime(TTL * 0.8)
      expect(await b.beat(beatOf('b', { want }))).toMatchObject({ isSettling: true })
      await subject.passTime(TTL * 0.8)
      expect(held(await b.beat(beatOf('b', { want })))).toEqual(['1 b 0 0'])
    })

    test('other data is refused as long as somebody is registered, and takes nothing away', async () => {
      await begin()
      const other = { clusterId: '0198c0de-0000-7000-8000-000000000002', shards: 64 }
      const refused = { code: 'ClusterNameTaken', retryable: false, outcome: 'none' }
      await expect(c.beat(beatOf('c', { cluster: other, isNew: true }))).rejects.toMatchObject(refused)
      await expect(c.beat(beatOf('c', { cluster: { ...CLUSTER, shards: 65 } }))).rejects.toMatchObject(refused)
      await expect(c.beat(beatOf('c', { cluster: other }))).rejects.toThrow(CLUSTER.clusterId)
      expect(held((await c.look())!)).toEqual(['1 a 0 3', '2 b 1 5'])
      await subject.passTime(TTL * 2)
      await expect(c.beat(beatOf('c', { cluster: other }))).rejects.toMatchObject(refused)
      await a.leave('a')
      await b.leave('b')
      const view = await c.beat(beatOf('c', { cluster: other, isNew: true, want: [{ shard: 1, worker: 0 }] }))
      expect(view).toMatchObject({ cluster: other, isSettling: false, leases: [{ shard: 1 }] })
    })

    test('a beat that nobody can mean is a bug', async () => {
      const twice = beatOf('a', { hold: [{ shard: 1, worker: 0, epoch: 1 }], want: [{ shard: 1, worker: 0 }] })
      await expect(a.beat(twice)).rejects.toThrow('a beat names a shard once')
      await expect(a.beat(beatOf('a', { want: [{ shard: 64, worker: 0 }] }))).rejects.toThrow('below the number')
      await expect(a.beat(beatOf('a b'))).rejects.toThrow('letters, digits and hyphens')
      expect(await a.look()).toBeUndefined()
    })

    test('nothing is asked of one that is closed', async () => {
      await begin()
      await b.close()
      await b.close()
      await expect(b.beat(beatOf('b'))).rejects.toMatchObject({ code: 'LeasesUnavailable' })
      expect(ids((await a.look())!)).toEqual(['a', 'b'])
    })

    test('any row of steps goes as the model says', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25, size: 'max' }), async (steps) => {
          const model = new LeasesModel()
          await subject.forget()
          for (const each of steps) await take(each, model)
        }),
        { numRuns: 150, ...inTime() },
      )
    })

    async function take(each: Step, model: LeasesModel): Promise<void> {
      switch (each.kind) {
        case 'beat': {
          const leases = { a, b, c }[each.beat.member.id]!
          const expected = model.beat(each.beat)
          if (expected === undefined)
            return expect(leases.beat(each.beat)).rejects.toThrow('is registered for the data')
          return expectSeen(await leases.beat(each.beat), expected)
        }
        case 'pass':
          model.passTime(each.ms)
          return subject.passTime(each.ms)
        case 'leave':
          model.leave(each.who)
          return a.leave(each.who)
        case 'forget':
          model.forget()
          return subject.forget()
        case 'look': {
          const expected = model.look()
          const view = await c.look()
          if (expected === undefined) return expect(view).toBeUndefined()
          return expectSeen(view!, expected)
        }
      }
    }
  })
}

function expectSeen(view: View, expected: Seen): void {
  const exact = ({ cluster, members, isSettling, ...seen }: View | Seen) => ({
    cluster,
    members,
    isSettling,
    leases: held(seen),
  })
  expect(exact(view)).toEqual(exact(expected))
  for (const [i, { remainingMs }] of view.leases.entries()) {
    expect(Math.abs(remainingMs - expected.leases[i]!.remainingMs)).toBeLessThan(SLACK)
  }
}

type Step =
  | { readonly kind: 'beat'; readonly beat: Beat }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'leave'; readonly who: string }
  | { readonly kind: 'forget' }
  | { readonly kind: 'look' }

const who = fc.constantFrom('a', 'b', 'c')
const worker = fc.nat({ max: 1 })
/** What a beat says of each of a few shards. */
const said = fc.oneof(
  fc.record({ kind: fc.constant('nothing' as const) }),
  fc.record({ kind: fc.constant('hold' as const), worker, epoch: fc.nat({ max: 3 }) }),
  fc.record({ kind: fc.constant('want' as const), worker }),
  fc.record({
    kind: fc.constant('release' as const),
    to: fc.option(fc.record({ member: who, worker }), { nil: undefined }),
  }),
)
const beats: fc.Arbitrary<Beat> = fc
  .record({
    id: who,
    ttlMs: fc.constantFrom(TTL, TTL * 2),
    isNew: fc.boolean(),
    state: fc.constantFrom('up' as const, 'draining' as const),
    isOther: fc.integer({ min: 0, max: 15 }),
    all: fc.array(said, { minLength: 4, maxLength: 4 }),
  })
  .map(({ id, ttlMs, isNew, state, isOther, all }) => {
    const of = (kind: string) =>
      all.flatMap((each, shard) => (each.kind === kind ? [{ shard, ...each, kind: undefined }] : []))
    const lists = { hold: of('hold'), want: of('want'), release: of('release') } as unknown as Partial<Beat>
    const cluster = isOther === 0 ? { clusterId: 'other', shards: 4 } : CLUSTER
    return beatOf(id, { ...lists, ttlMs, isNew, cluster, member: memberOf(id, { state }) })
  })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('beat' as const), beat: beats }) },
  // No sum of these comes near to two thirds of a ttl, where a little more or less time would make a difference.
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(...[0.25, 0.5, 1].map((share) => share * TTL)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'forget' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'look' as const }) },
)
