import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { operate } from '../../src/node/projection-operation.ts'
import { Projections } from '../../src/node/projections.ts'
import { defineProjection } from '../../src/read/projection.ts'
import { readModelUnusable } from '../../src/read/read-model-error.ts'
import type { ReadModel } from '../../src/read/read-model.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow } from '../read/event-row.ts'
import { ConnectionLost, FaultyStore } from '../read/faulty-store.ts'

interface Seen {
  readonly seen: string[]
}

/** One projection of a node, whose store is opened as a test says. */
function open() {
  const clock = new SimulatedClock()
  const row = new EventRow()
  const store = new FaultyStore<Seen>(() => ({ seen: [] }))
  const state = { openings: 0, problem: undefined as unknown, isHere: true }
  const warnings: string[] = []
  const projection = defineProjection({
    name: 'seen',
    from: 'all',
    store: {
      async open(): Promise<ReadModel<Seen>> {
        state.openings += 1
        if (state.problem !== undefined) throw state.problem
        return await store.open()
      },
    },
    on: { Done: ({ id }, { seen }) => void seen.push(id) },
  })
  const feeds = row.feeds()
  const options = { feeds: () => feeds, clock, lanesHere: () => (state.isHere ? feeds.lanes : []), dataDir: 'none' }
  const projections = new Projections({
    projections: [projection],
    ...options,
    onWarning: (text) => warnings.push(text),
  })
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 250) {
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
      clock.advance(250)
    }
    for (let turn = 0; turn < 3; turn += 1) await setImmediate()
  }
  onTestFinished(() => projections.close())
  const call = (name: string, more: object = {}): Promise<unknown> => {
    return operate(projections, { request: 1, call: name, projection: 'seen', options: {}, ...more })
  }
  return { clock, row, store, state, warnings, projections, ref: projections.ref(projection), pass, call }
}

test('a store that cannot be used as it stands is not tried again before somebody says so, and all are told', async () => {
  const { row, state, warnings, projections, ref, pass, store } = open()
  state.problem = readModelUnusable('the store', 'it has format 9')
  const waiting = expect(ref.query(({ seen }) => seen)).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  projections.start()
  await pass(60_000)
  await waiting
  expect(state.openings).toBe(1)
  expect(warnings).toEqual([expect.stringContaining('it has format 9')])
  const [status] = await projections.status()
  expect(status).toMatchObject({ name: 'seen', state: 'halted', generation: 0, lanes: [] })
  expect(status!.trouble).toContain('it has format 9')
  expect(projections.conditions).toMatchObject([{ name: 'seen', state: 'halted' }])
  await expect(ref.rebuild()).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  await expect(ref.resume()).rejects.toMatchObject({ code: 'ReadModelUnusable' })
  expect(state.openings).toBe(2)

  state.problem = undefined
  row.add('Done', 'a/1')
  const resumed = ref.resume()
  await pass(1_000)
  await resumed
  expect(store.generation(1).model.seen).toEqual(['a/1/1'])
  expect(projections.conditions).toMatchObject([{ state: 'running', waitingMs: 0 }])
})

test('a store that does not answer is tried again, and how long it has waited is known', async () => {
  const { state, projections, ref, pass } = open()
  state.problem = new ConnectionLost('nobody is there')
  projections.start()
  await pass(10_000)
  expect(state.openings).toBeGreaterThan(5)
  expect(projections.conditions).toMatchObject([{ state: 'waiting' }])
  expect(projections.conditions[0]!.waitingMs).toBeGreaterThan(9_000)
  expect(await ref.status()).toMatchObject({ state: 'waiting', trouble: expect.stringContaining('nobody') as string })
  state.problem = undefined
  await pass(2_000)
  expect(projections.conditions).toMatchObject([{ state: 'running', waitingMs: 0 }])
})

test('a node that does not run it says so; a store that hangs holds up no answer', async () => {
  const { state, projections, pass, call, store } = open()
  state.isHere = false
  projections.start()
  await pass(1_000)
  expect(projections.conditions).toMatchObject([{ state: 'elsewhere' }])
  expect(await call('list')).toMatchObject([{ state: 'elsewhere', lanes: [], elsewhere: [{ lane: 'all' }] }])
  state.isHere = true
  await pass(1_000)
  store.onLook = () => new Promise(() => undefined)
  const asked = call('status')
  await pass(2_000)
  expect(await asked).toMatchObject({
    state: 'waiting',
    trouble: expect.stringContaining('has not answered') as string,
  })
})

test('calls from outside do what they say, and whatever fails has a code', async () => {
  const { row, store, projections, pass, call } = open()
  projections.start()
  row.add('Done', 'a/1')
  await pass(1_000)
  await call('pause')
  expect(store.isPaused).toBe(true)
  expect(await call('rebuild')).toBe(2)
  await call('abortRebuild')
  await call('resume')
  expect(store.isPaused).toBe(false)
  expect(await call('parked', { options: { limit: 5 } })).toEqual([])
  expect(await call('retryParked', { options: { stream: 'a/1' } })).toEqual({ done: 0, failed: undefined })
  const skipped = { stream: 'a/1', version: 1, reason: 'by hand' }
  for (const [name, more, code] of [
    ['skipParked', { options: skipped }, 'ProjectionState'],
    ['skipParked', { options: { ...skipped, version: 'x' } }, 'BadPayload'],
    ['skipParked', { options: { ...skipped, reason: 3 } }, 'BadPayload'],
    ['parked', { options: { limit: 5_000 } }, 'BadPayload'],
    ['parked', { options: { limit: 5, stream: 7 } }, 'BadPayload'],
    ['retryParked', { options: { stream: 'a/1', generation: 'both' } }, 'BadPayload'],
    ['rollBack', {}, 'ProjectionState'],
    ['dance', {}, 'ProjectionState'],
    ['status', { projection: 'sene' }, 'BadDefinition'],
  ] as const) {
    await expect(call(name, more), name).rejects.toMatchObject({ name: 'PenholdError', code })
  }
  store.isAway = true
  await expect(call('rebuild')).rejects.toMatchObject({
    code: 'ProjectionFailed',
    message: expect.stringContaining('the store is away') as string,
  })
  store.isAway = false
})

test('two who resume one that could not be opened are both answered', async () => {
  const { state, projections, ref, pass } = open()
  state.problem = readModelUnusable('the store', 'it has format 9')
  projections.start()
  await pass(1_000)
  state.problem = undefined
  const both = Promise.all([ref.resume(), ref.resume()])
  await pass(1_000)
  await both
  expect(await ref.query(({ seen }) => seen)).toEqual([])
})
