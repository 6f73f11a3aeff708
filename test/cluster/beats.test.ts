import { expect, test } from 'vitest'
import { Beats } from '../../src/cluster/beats.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const EVERY_MS = 1_000
const REST_MS = 100

/** Beats whose answers are there at once, or when they are let through. */
function start() {
  const clock = new SimulatedClock()
  /** When each began. */
  const begun: number[] = []
  const state = { answer: Promise.resolve() }
  const beats = new Beats({
    clock,
    everyMs: EVERY_MS,
    beat: () => {
      begun.push(clock.monotonic())
      return state.answer
    },
  })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms)
    await turn()
  }
  return { beats, begun, state, turn, pass }
}

test('what is to be told soon is told at once, and what comes right behind it together', async () => {
  const { beats, begun, turn, pass } = start()
  beats.soon()
  await turn()
  expect(begun).toEqual([0])
  for (let ms = 0; ms < 1_000; ms += 10) {
    beats.soon()
    await pass(10)
  }
  expect(begun).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000])
  await pass(5_000)
  expect(begun).toHaveLength(11)
  beats.soon()
  await turn()
  expect(begun).toHaveLength(12)
})

test('a store that is slow to answer is left alone for as long as one that is not', async () => {
  const { beats, begun, state, turn, pass } = start()
  const answer = Promise.withResolvers<void>()
  state.answer = answer.promise
  beats.soon()
  await turn()
  beats.soon()
  await pass(500)
  expect(begun).toEqual([0])
  answer.resolve()
  await turn()
  await pass(REST_MS - 1)
  expect(begun).toEqual([0])
  await pass(1)
  expect(begun).toEqual([0, 600])
})

test('those who ask while a beat is under way are answered by the next, and no more is told soon than that', async () => {
  const { beats, begun, state, turn, pass } = start()
  const answer = Promise.withResolvers<void>()
  state.answer = answer.promise
  let answered = 0
  void beats.now().then(() => (answered += 1))
  await turn()
  for (let i = 0; i < 3; i += 1) void beats.now().then(() => (answered += 1))
  beats.soon()
  await turn()
  expect([begun.length, answered]).toEqual([1, 0])
  answer.resolve()
  await turn()
  expect([begun.length, answered]).toEqual([2, 4])
  await pass(REST_MS)
  expect(begun).toHaveLength(2)
})

test('it beats at regular intervals from its start to its close, which waits for what is under way', async () => {
  const { beats, begun, state, pass } = start()
  beats.start()
  for (let i = 0; i < 3; i += 1) await pass(EVERY_MS)
  expect(begun).toEqual([1_000, 2_000, 3_000])
  const answer = Promise.withResolvers<void>()
  state.answer = answer.promise
  await pass(EVERY_MS)
  let isClosed = false
  void beats.now()
  beats.soon()
  const closed = beats.close().then(() => (isClosed = true))
  await pass(EVERY_MS)
  expect(isClosed).toBe(false)
  answer.resolve()
  await closed
  await pass(5 * EVERY_MS)
  expect(begun).toHaveLength(4)
})
