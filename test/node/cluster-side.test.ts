import { expect, test } from 'vitest'
import { storageFull } from '../../src/log/error.ts'
import { BEAT, OTHER, SHARDS, TTL, startSide } from './started-side.ts'

test('a node that has just joined is given nothing before all others must have heard of it', async () => {
  const { store, beat, released } = await startSide()
  store.others = [OTHER]
  for (let beats = 0; beats < 2; beats += 1) {
    await beat()
    expect(released).toEqual([])
  }
  await beat()
  expect(released).toHaveLength(1)
})

test("the time of the store is known by what it answers, and told where this machine's is another", async () => {
  const { side, store, clock, warnings, beat } = await startSide()
  for (const _ of [1, 2]) {
    store.time = clock.now() + 1_000_000
    await beat()
  }
  expect(side.storeTime).toBe(store.time)
  expect(warnings).toEqual([expect.stringMatching("^the clock of this machine is 999 s behind the lease store's")])
})

test('a store that has forgotten everybody costs no connection between nodes', async () => {
  const { store, beat, open } = await startSide()
  store.others = [OTHER]
  await beat()
  expect(open()).toBe(2)
  Object.assign(store, { others: [], isSettling: true })
  await beat()
  expect(open()).toBe(2)
  store.isSettling = false
  await beat()
  expect(open()).toBe(0)
})

test('a node that the store has forgotten and that answers is not hung up, as it may have shards still', async () => {
  const { store, beat, open } = await startSide()
  Object.assign(store, { others: [OTHER], answers: true })
  await beat()
  store.others = []
  for (let beats = 0; beats < 5; beats += 1) await beat()
  expect(open()).toBe(2)
  store.answers = false
  for (let beats = 0; beats < 3; beats += 1) await beat()
  expect(open()).toBe(0)
})

test('a node that closes while the store has forgotten everybody waits until the others are there again', async () => {
  const { side, store, beat, released } = await startSide()
  store.others = [OTHER]
  for (let beats = 0; beats < 2; beats += 1) await beat()
  Object.assign(store, { others: [], isSettling: true })
  let isDone = false
  const drained = side.drain(60_000).then(() => (isDone = true))
  await beat()
  expect(isDone).toBe(false)
  Object.assign(store, { others: [OTHER], isSettling: false })
  for (let beats = 0; beats < 10; beats += 1) await beat()
  await drained
  expect(released).toHaveLength(SHARDS)
})

test('a shard that was given up is not claimed back because the store was slow to hear of it', async () => {
  const { store, gates, turn, beat, taken, released } = await startSide()
  const [release, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  store.others = [OTHER]
  gates.release = release.promise
  for (let beats = 0; beats < 3; beats += 1) await beat()
  // A beat is under way that says this shard is held, and meanwhile it is given up.
  gates.beat = answer.promise
  await beat()
  release.resolve()
  await turn()
  expect(released).toHaveLength(1)
  taken.length = 0
  answer.resolve()
  await turn()
  expect(taken).toEqual([])
})

test('a shard that could not be claimed is tried again while the store is away', async () => {
  const { gates, refused, beat, taken } = await startSide([0])
  expect(taken.filter((shard) => shard === 0)).toHaveLength(1)
  gates.beat = Promise.reject(new Error('away'))
  gates.beat.catch(() => undefined)
  refused.clear()
  await beat()
  await beat()
  expect(taken.filter((shard) => shard === 0)).toHaveLength(2)
})

test('what is handed to a node that drains is not taken over there: the next one is to have it at once', async () => {
  const { side, store, beats, gates, turn, rest, beat, handed, released, taken } = await startSide()
  store.others = [OTHER]
  for (let count = 0; count < 3; count += 1) await beat()
  const release = Promise.withResolvers<void>()
  gates.release = release.promise
  const [given] = released
  const before = taken.length
  const drained = side.drain(60_000)
  await turn()
  handed(given!)
  await rest()
  expect(beats.at(-1)!.release).toContainEqual({ shard: given, to: { member: OTHER.id, worker: 0 } })
  release.resolve()
  for (let count = 0; count < 10; count += 1) await beat()
  await drained
  expect(released).toHaveLength(SHARDS)
  expect(taken).toHaveLength(before)
})

test('a shard that was granted and is not served is awaited, for longer and longer, until it is', async () => {
  const { side, refused, beat } = await startSide()
  expect(side.condition).toMatchObject({ awaited: [], isDraining: false, storeAwayMs: undefined })
  refused.add(2)
  side.lost(0, [2])
  // The store has heard that it is not held, and grants it once more.
  for (let beats = 0; beats < 5; beats += 1) {
    await beat()
    expect(side.condition?.awaited).toEqual([{ shard: 2, worker: 0, ms: beats * BEAT }])
  }
  refused.clear()
  for (let beats = 0; beats < 20; beats += 1) await beat()
  expect(side.condition?.awaited).toEqual([])
})

test('what a node alone cut off from the store has lost to others it awaits no longer than its lease', async () => {
  const { side, store, beat } = await startSide()
  store.isAway = true
  await beat()
  side.lost(0, [0, 1])
  expect(side.condition?.awaited.map(({ shard }) => shard)).toEqual([0, 1])
  for (let beats = 0; beats < 3; beats += 1) await beat()
  expect(side.condition?.awaited).toEqual([])
  expect(side.condition?.storeAwayMs).toBeGreaterThanOrEqual(TTL)
  store.isAway = false
  await beat()
  expect(side.condition?.storeAwayMs).toBeUndefined()
})

test('shards of a worker that ends are not wanted while it is gone, and its member keeps them for one lease only', async () => {
  const { store, beat, beats, replace, released } = await startSide()
  store.others = [OTHER]
  replace(false)
  for (let i = 0; i < 3; i += 1) await beat()
  expect(beats.at(-1)).toMatchObject({ member: { state: 'up' }, hold: [], want: [] })
  expect(beats.at(-1)!.member.away).toBeUndefined()
  await beat()
  expect(beats.at(-1)).toMatchObject({ member: { state: 'joining', away: [0] }, hold: [], want: [] })
  // What the others have taken meanwhile comes back once it has served for a while.
  replace(true)
  for (let i = 0; i < 2; i += 1) await beat()
  expect(beats.at(-1)!.member).toMatchObject({ state: 'joining', away: [0] })
  for (let i = 0; i < 2; i += 1) await beat()
  expect(beats.at(-1)!.member.state).toBe('up')
  expect(beats.at(-1)!.member.away).toBeUndefined()
  expect(released).toEqual([])
})

test('a worker that is replaced soon costs its node nothing, and one of a node alone is used at once', async () => {
  const { side, store, beat, beats, replace } = await startSide()
  store.others = [{ ...OTHER, state: 'joining' }]
  replace(false)
  await beat()
  replace(true)
  await beat()
  expect(side.condition?.awaited).toEqual([])
  expect(beats.every(({ member }) => member.away === undefined)).toBe(true)
  replace(false)
  for (let i = 0; i < 6; i += 1) await beat()
  expect(beats.at(-1)!.member.away).toEqual([0])
  replace(true)
  for (let i = 0; i < 2; i += 1) await beat()
  expect(beats.at(-1)!.member).toMatchObject({ state: 'up' })
  expect(beats.at(-1)!.hold).toHaveLength(SHARDS)
})

test('a shard that a node refuses is left to one that may serve it, and not taken again for a while', async () => {
  const { side, store, refused, why, beat, beats, taken, handed, released } = await startSide()
  store.others = [{ ...OTHER, unable: [0, 1, 3] }]
  for (let i = 0; i < 3; i += 1) await beat()
  expect(released).toHaveLength(1)
  store.others = [OTHER]
  Object.assign(why, { code: 'BadDefinition' })
  refused.add(2)
  handed(2)
  for (let i = 0; i < 2; i += 1) await beat()
  expect(beats.at(-1)!.member.unable).toEqual([2])
  expect(beats.flatMap(({ release }) => release).filter(({ to }) => to?.member === OTHER.id)).toContainEqual({
    shard: 2,
    to: { member: OTHER.id, worker: 0 },
  })
  taken.length = 0
  for (let i = 0; i < 10; i += 1) await beat()
  expect(taken).not.toContain(2)
  expect(side.condition?.awaited).toEqual([])
})

test('what nobody can serve stays where it is, and so does what is damaged', async () => {
  const { side, store, refused, why, beat, beats } = await startSide()
  store.others = [{ ...OTHER, unable: [0, 1, 2, 3] }]
  Object.assign(why, { code: 'BadDefinition' })
  refused.add(2)
  side.lost(0, [2])
  for (let i = 0; i < 5; i += 1) await beat()
  expect(beats.at(-1)).toMatchObject({ member: { unable: [2] }, release: [], want: [{ shard: 2 }] })
  Object.assign(why, { code: 'LogCorrupt', isDamaged: true })
  refused.add(1)
  side.lost(0, [1])
  for (let i = 0; i < 20; i += 1) await beat()
  expect(beats.at(-1)!.member.unable).toEqual([2])
})

test.for([
  { reason: 'no known reason', code: undefined },
  { reason: 'a file that the system fails at', code: 'LogCorrupt' },
])('a shard that could not be taken over three times, for $reason, is left to others', async ({ code }) => {
  const { side, refused, why, beat, beats } = await startSide()
  Object.assign(why, { code })
  refused.add(2)
  side.lost(0, [2])
  for (let i = 0; i < 3; i += 1) await beat()
  expect(beats.at(-1)!.member.unable).toBeUndefined()
  for (let i = 0; i < 6; i += 1) await beat()
  expect(beats.at(-1)!.member.unable).toEqual([2])
  refused.clear()
  for (let i = 0; i < 10; i += 1) await beat()
  expect(beats.at(-1)!.member.unable).toBeUndefined()
})

test('a shard that found no room is tried again soon, and left to nobody', async () => {
  const { side, gates, beat, beats, taken } = await startSide()
  gates.takeOver = Promise.reject(storageFull(new Error('ENOSPC')))
  gates.takeOver.catch(() => undefined)
  side.lost(0, [2])
  for (let i = 0; i < 80; i += 1) await beat()
  taken.length = 0
  for (let i = 0; i < 6; i += 1) await beat()
  expect(taken).toContain(2)
  expect(beats.at(-1)!.member.unable).toBeUndefined()
})

test('tries that found no room on the disk do not count once there is room', async () => {
  const { side, gates, refused, beat, beats, taken } = await startSide()
  gates.takeOver = Promise.reject(storageFull(new Error('ENOSPC')))
  gates.takeOver.catch(() => undefined)
  side.lost(0, [2])
  for (let i = 0; i < 40; i += 1) await beat()
  gates.takeOver = Promise.resolve()
  refused.add(2)
  taken.length = 0
  while (!taken.includes(2)) await beat()
  await beat()
  expect(beats.at(-1)!.member.unable).toBeUndefined()
  for (let i = 0; i < 150; i += 1) await beat()
  expect(beats.at(-1)!.member.unable).toEqual([2])
})

test('a node that is told to drain says so once, however often it is told', async () => {
  const { side, store, beat, turn, warnings, released, tellToDrain } = await startSide()
  store.others = [OTHER]
  for (let i = 0; i < 3; i += 1) await beat()
  warnings.length = 0
  for (let i = 0; i < 3; i += 1) {
    tellToDrain()
    await turn()
  }
  expect(side.condition?.isDraining).toBe(true)
  for (let i = 0; i < 10; i += 1) await beat()
  expect(released).toHaveLength(SHARDS)
  tellToDrain()
  await turn()
  expect(warnings).toEqual([expect.stringMatching(/^told to hand over all shards: /)])
})

test('a node that is told to drain before it has joined joins without shards, and is never given any', async () => {
  const { side, beat, beats, taken, warnings } = await startSide([], [OTHER])
  for (let i = 0; i < 5; i += 1) await beat()
  expect(beats.filter(({ member, want }) => member.state !== 'draining' || want.length > 0)).toEqual([])
  expect([taken, side.condition?.isDraining]).toEqual([[], true])
  expect(warnings).toEqual([expect.stringMatching(/^told to hand over all shards: /)])
})

test('what an operator is told of an error is its message alone', async () => {
  const { side, store, gates, beat, warnings } = await startSide()
  store.isAway = true
  await beat()
  store.isAway = false
  gates.takeOver = Promise.reject(storageFull(new Error('ENOSPC')))
  gates.takeOver.catch(() => undefined)
  side.lost(0, [2])
  for (let i = 0; i < 3; i += 1) await beat()
  const told = expect.stringMatching(/^(?!PenholdError)/)
  expect(warnings.slice(0, 3)).toEqual([told, 'the lease store answers again', told])
  expect(warnings.join()).toMatch(/it is away.*worker 0 could not take over 1 shards: (?!PenholdError)/)
})
