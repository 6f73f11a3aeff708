import { expect, test } from 'vitest'
import type { HandedShard } from '../../src/cluster/control.ts'
import type { Beat, Lease, Leases, Member, View } from '../../src/cluster/leases.ts'
import { Ownership } from '../../src/cluster/ownership.ts'
import type { ShardWorker } from '../../src/cluster/ownership-ports.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const TTL = 3_000
const BEATS_MS = TTL / 3
const SELF: Member = { id: 'a', name: 'a', address: 'a:1', workers: 2, weight: 1, protocol: 2, state: 'up' }
const OTHER: Member = { ...SELF, id: 'b', name: 'b', address: 'b:1', workers: 1 }

interface Options {
  readonly shards: number
  /** What the worker of this number does when it is to give shards up. */
  readonly release?: (worker: number, shards: readonly number[]) => Promise<void>
  /** Shards that no worker here can serve, for a reason that is this node's own. */
  readonly refused?: readonly number[]
  /** Others that are there from the beginning. */
  readonly others?: readonly Member[]
  /** It is told to drain when the store has heard of it, and before it takes part. */
  readonly isToldToDrain?: boolean
  /** Which of its first beats the store does not answer; it is started again then. */
  readonly unanswered?: readonly number[]
}

/** One node's part, with two workers, over a store that grants it whatever it holds or wants. */
async function start({ shards, release = async () => undefined, refused = [], ...more }: Options) {
  const clock = new SimulatedClock()
  const beats: Beat[] = []
  const warnings: string[] = []
  const handedTo: [string, readonly HandedShard[]][] = []
  const store = { others: more.others ?? [], leases: [] as readonly Lease[], isSettling: false }
  /** The store says nothing before this. */
  const silence = { ends: Promise.resolve() }
  const state = { reaches: true, takesUp: (_member: string): boolean => false, isAway: false }
  const leases: Leases = {
    beat: async (told): Promise<View> => {
      beats.push(told)
      await silence.ends
      if (state.isAway || more.unanswered?.includes(beats.length) === true) throw new Error('away')
      const { cluster, member } = told
      const wanted = store.isSettling ? [] : told.want.map((shard) => ({ ...shard, epoch: 0 }))
      const mine = [...told.hold, ...wanted].map((lease) => ({ ...lease, member: member.id, remainingMs: TTL }))
      const members = [member, ...store.others]
      return { cluster, time: 0, members, leases: [...mine, ...store.leases], isSettling: store.isSettling }
    },
    look: async () => undefined,
    leave: async () => undefined,
    close: async () => undefined,
  }
  const ownership = new Ownership({
    clock,
    leases,
    cluster: { clusterId: 'cluster', shards },
    member: SELF,
    ttlMs: TTL,
    isNew: true,
    events: {
      onServing: () => undefined,
      onView: () => undefined,
      onHandedTo: (member, given) => {
        handedTo.push([member, given])
        if (state.takesUp(member)) queueMicrotask(() => ownership.arrived(given.map(({ shard }) => shard)))
      },
      reaches: () => state.reaches,
      onWarning: (message) => void warnings.push(message),
    },
  })
  const taken: number[] = []
  const setWorker = (number: number): void => {
    const worker: ShardWorker = {
      takeOver: async (wanted) => {
        taken.push(...wanted)
        return wanted.filter((shard) => !refused.includes(shard)).map((shard) => ({ shard, epoch: 1 }))
      },
      prepareRelease: async () => undefined,
      release: (leaving) => release(number, leaving),
      status: async () => {
        return { refused: refused.map((shard) => ({ shard, code: 'BadDefinition', isDamaged: false })) }
      },
    }
    ownership.setWorker(number, worker)
  }
  for (const number of [0, 1]) setWorker(number)
  const atOnceOrAgain = (ask: () => Promise<void>): Promise<void> =>
    ask().catch(() => {
      clock.advance(BEATS_MS / 10)
      return ask()
    })
  await atOnceOrAgain(() => ownership.register())
  if (more.isToldToDrain === true) void ownership.drain(TTL)
  await atOnceOrAgain(() => ownership.start())
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const beat = async (): Promise<void> => {
    clock.advance(BEATS_MS)
    await turn()
  }
  /** Time passes until it is done, and no more than so much. */
  const until = async (work: Promise<unknown>, ms: number): Promise<void> => {
    let isDone = false
    void work.then(() => (isDone = true))
    for (let passed = 0; !isDone && passed < ms; passed += 10) {
      clock.advance(10)
      await turn()
    }
    expect(isDone).toBe(true)
  }
  return { ownership, clock, store, silence, state, beats, warnings, taken, setWorker, beat, turn, until, handedTo }
}

test('a worker that hangs in giving up a shard holds up nobody else', async () => {
  const given: Record<number, number[]> = { 0: [], 1: [] }
  const { ownership, store, beat } = await start({
    shards: 32,
    release: (worker, shards) => {
      given[worker]!.push(...shards)
      return worker === 0 ? new Promise<void>(() => undefined) : Promise.resolve()
    },
  })
  store.others = [OTHER]
  for (let beats = 0; beats < 20; beats += 1) await beat()
  expect(given[0]).toHaveLength(1)
  expect(ownership.condition.leaving).toEqual(given[0])
  expect(given[1]).toHaveLength(8)
})

test('the next shard leaves once the one before is served by others, or it takes too long', async () => {
  const given: number[] = []
  const release = async (_worker: number, shards: readonly number[]): Promise<void> => void given.push(...shards)
  const { ownership, store, beat, turn } = await start({ shards: 64, release })
  store.others = [{ ...OTHER, weight: 100 }]
  for (let beats = 0; given.length === 0; beats += 1) await beat()
  await turn()
  expect(given).toHaveLength(1)
  ownership.arrived(given)
  await turn()
  expect(given).toHaveLength(2)
  store.leases = given.map((shard) => ({ shard, member: OTHER.id, worker: 0, epoch: 2, remainingMs: TTL }))
  ownership.arrived(given)
  await turn()
  expect(given).toHaveLength(3)
  // Nobody says that this one is served.
  await beat()
  expect(given).toHaveLength(4)
})

test('a node that wants no shards any more asks for none that it wanted before', async () => {
  const { ownership, store, beats, beat } = await start({ shards: 4 })
  store.isSettling = true
  for (const worker of [0, 1]) ownership.lost(worker, [0, 1, 2, 3])
  await beat()
  await beat()
  expect(beats.at(-1)!.want).toHaveLength(4)
  await ownership.drain(TTL)
  await beat()
  await beat()
  expect(beats.at(-1)).toMatchObject({ member: { state: 'draining' }, want: [] })
})

test('a node that is told to drain while it joins takes part, and never takes a shard', async () => {
  const { ownership, beats, beat } = await start({ shards: 4, others: [OTHER], isToldToDrain: true })
  for (let i = 0; i < 5; i += 1) await beat()
  expect(ownership.condition).toMatchObject({ isDraining: true, awaited: [] })
  expect(ownership.served).toEqual([])
  const [first, ...later] = beats
  expect(first!.member.state).toBe('joining')
  expect(new Set(later.map(({ member }) => member.state))).toEqual(new Set(['draining']))
  expect(beats.flatMap(({ hold, want }) => [...hold, ...want])).toEqual([])
})

test.for(['before the first beat', 'after the last shard'])(
  'a drain ends in its time though the store says nothing %s',
  async (when) => {
    const { ownership, store, state, silence, clock, beat, until } = await start({ shards: 4 })
    store.others = [OTHER]
    state.reaches = false
    for (let i = 0; i < 3; i += 1) await beat()
    const never = Promise.withResolvers<void>()
    const isFirst = when === 'before the first beat'
    if (isFirst) silence.ends = never.promise
    Object.assign(state, {
      reaches: true,
      takesUp: () => {
        silence.ends = never.promise
        return true
      },
    })
    const beganAt = clock.monotonic()
    await until(ownership.drain(TTL), TTL + 10)
    expect(clock.monotonic() - beganAt).toBeLessThanOrEqual(TTL + 10)
    if (!isFirst) expect(ownership.served).toEqual([])
    never.resolve()
  },
)

test('what cannot be served here is left to whoever can also where this node does not reach it', async () => {
  const { store, state, beats, beat } = await start({ shards: 4, refused: [2] })
  store.others = [OTHER]
  state.reaches = false
  for (let i = 0; i < 5; i += 1) await beat()
  const released = beats.flatMap(({ release }) => release)
  expect(released).toEqual([{ shard: 2, to: { member: OTHER.id, worker: 0 } }])
})

test('what is handed to a node that is about to leave goes on to the next one at once', async () => {
  const { ownership, store, beats, beat, turn, handedTo } = await start({ shards: 4 })
  store.others = [OTHER]
  for (const worker of [0, 1]) ownership.lost(worker, [0, 1, 2, 3])
  store.leases = [0, 1, 2, 3].map((shard) => ({ shard, member: OTHER.id, worker: 0, epoch: 2, remainingMs: TTL }))
  await beat()
  await beat()
  await ownership.drain(TTL)
  ownership.handed([{ shard: 1, worker: 1 }])
  await turn()
  expect(handedTo).toEqual([[OTHER.id, [{ shard: 1, worker: 0 }]]])
  expect(ownership.served).toEqual([])
  expect(beats.at(-1)!.release).toEqual([{ shard: 1, to: { member: OTHER.id, worker: 0 } }])
})

const released = (beats: readonly Beat[]): readonly number[] =>
  beats.flatMap(({ release }) => release.map(({ shard }) => shard)).toSorted((a, b) => a - b)

test('however many shards a node hands over, the store is told a few times, and of all of them before it leaves', async () => {
  const { ownership, clock, store, state, beats, beat, until } = await start({ shards: 1_000 })
  store.others = [OTHER]
  state.reaches = false
  for (let i = 0; i < 3; i += 1) await beat()
  Object.assign(state, { reaches: true, takesUp: () => true })
  const before = { beats: beats.length, at: clock.monotonic() }
  await until(ownership.drain(30_000), 30_000)
  expect(ownership.served).toEqual([])
  expect(released(beats)).toEqual(Array.from({ length: 1_000 }, (_, shard) => shard))
  // The first word, the last word, one at each tenth of a second between them, and the regular ones.
  const seconds = (clock.monotonic() - before.at) / 1_000
  expect(beats.length - before.beats).toBeLessThanOrEqual(3 + seconds * 11)
})

test('the first shard that is handed over is told to the store at once, and what follows a tenth of a second later', async () => {
  const { store, state, beats, beat, clock, turn, handedTo } = await start({ shards: 8 })
  store.others = [OTHER]
  state.takesUp = () => true
  for (let i = 0; handedTo.length === 0; i += 1) await beat()
  expect(released(beats)).toHaveLength(1)
  const all = handedTo.length
  expect(all).toBeGreaterThan(1)
  clock.advance(100)
  await turn()
  expect(released(beats)).toHaveLength(all)
})

test('an heir that hangs keeps no shard from the others', async () => {
  const { ownership, store, state, beat, until, handedTo } = await start({ shards: 64 })
  store.others = [OTHER, { ...OTHER, id: 'c', name: 'c', address: 'c:1' }]
  state.reaches = false
  for (let i = 0; i < 3; i += 1) await beat()
  Object.assign(state, { reaches: true, takesUp: (member: string) => member === 'b' })
  await until(ownership.drain(3_000), 5_000)
  const given = (to: string): number =>
    handedTo.filter(([member]) => member === to).flatMap(([, shards]) => shards).length
  expect(given('b')).toBe(32)
  expect(given('c')).toBeLessThanOrEqual(4)
})

test('a node with more shards than leave one by one in its time has let all of them go by then', async () => {
  const { ownership, clock, store, state, beat, until, handedTo } = await start({
    shards: 2_000,
    release: () => new Promise((resolve) => clock.after(20, resolve)),
  })
  store.others = [OTHER]
  state.reaches = false
  for (let i = 0; i < 3; i += 1) await beat()
  Object.assign(state, { reaches: true, takesUp: () => true })
  const beganAt = clock.monotonic()
  await until(ownership.drain(10_000), 10_500)
  expect(ownership.served).toEqual([])
  expect(clock.monotonic() - beganAt).toBeLessThan(10_000)
  expect(Math.max(...handedTo.map(([, shards]) => shards.length))).toBeGreaterThan(1)
})

test('what was lost to somebody while it was being given up is handed to nobody', async () => {
  const hang = Promise.withResolvers<void>()
  const given: number[] = []
  const { ownership, store, beat, turn, handedTo } = await start({
    shards: 32,
    release: async (worker, shards) => {
      given.push(...shards)
      if (worker === 0) await hang.promise
    },
  })
  store.others = [OTHER, { ...OTHER, id: 'c', name: 'c', address: 'c:1' }]
  while (given.length === 0) await beat()
  const shard = given[0]!
  // The worker's thread hangs and is given up; somebody has claimed the shard since.
  ownership.setWorker(0, undefined)
  store.leases = [{ shard, member: 'c', worker: 0, epoch: 7, remainingMs: TTL }]
  for (let i = 0; i < 20; i += 1) await beat()
  const before = handedTo.length
  hang.resolve()
  await turn()
  expect(handedTo.slice(before).filter(([, handed]) => handed.some((one) => one.shard === shard))).toEqual([])
})

test('what was lost while the store was away is not taken back by a worker that is replaced meanwhile', async () => {
  const { ownership, state, taken, setWorker, beat, turn } = await start({ shards: 8 })
  const had = ownership.served.filter(({ worker }) => worker === 0).map(({ shard }) => shard)
  const [lost, ...kept] = had
  state.isAway = true
  for (let i = 0; i < 4; i += 1) await beat()
  ownership.lost(0, [lost!])
  ownership.setWorker(0, undefined)
  taken.length = 0
  setWorker(0)
  await turn()
  expect(taken).toEqual(kept)
  // What the store says then counts again.
  state.isAway = false
  for (let i = 0; i < 2; i += 1) await beat()
  expect(taken).toEqual([...kept, lost])
})

test('shards that somebody claims again and again, though the store leaves them here, are told of once a minute', async () => {
  const { ownership, clock, store, warnings, beat } = await start({ shards: 4 })
  store.leases = ownership.served.map((served) => ({ ...served, member: 'a', remainingMs: TTL }))
  const lose = async (): Promise<void> => {
    for (const worker of [0, 1]) ownership.lost(worker, [0, 1, 2, 3])
    await beat()
    expect(ownership.served).toHaveLength(4)
  }
  for (let time = 0; time < 2; time += 1) await lose()
  expect(warnings).toEqual([])
  for (let time = 0; time < 8; time += 1) await lose()
  expect(warnings).toEqual([expect.stringContaining('(4 at the moment), again and again')])
  clock.advance(60_000)
  for (let time = 0; time < 3; time += 1) await lose()
  expect(warnings).toHaveLength(2)
})

test('shards that the store has given to others are not contested, nor is anything while it settles', async () => {
  const { ownership, store, warnings, beat } = await start({ shards: 4, others: [OTHER] })
  for (let time = 0; time < 8; time += 1) {
    store.leases = []
    await beat()
    const [mine] = ownership.served
    ownership.lost(mine!.worker, [mine!.shard])
    store.isSettling = time % 2 === 0
    const member = store.isSettling ? 'a' : 'b'
    store.leases = [{ ...mine!, member, epoch: 2, remainingMs: TTL }]
    await beat()
    store.isSettling = false
  }
  expect(warnings).toEqual([])
})

test.each([[[1]], [[2]], [[3]], [[1, 4]]])(
  'one that starts again, as the store left beats %j unanswered, takes up each shard once, and beats as often as any',
  async (unanswered) => {
    const { ownership, taken, beats, clock, turn, warnings } = await start({ shards: 4, unanswered })
    expect(ownership.served).toHaveLength(4)
    expect(taken.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
    const pass = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 50) {
        clock.advance(50)
        await turn()
      }
    }
    await pass(BEATS_MS)
    const before = beats.length
    await pass(5 * BEATS_MS)
    expect(beats.length - before).toBe(5)
    expect(beats.at(-1)).toMatchObject({ isNew: false, want: [] })
    expect(warnings).toEqual([])
  },
)
