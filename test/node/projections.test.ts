import { setImmediate } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { operate } from '../../src/node/projection-operation.ts'
import type { Clock } from '../../src/log/clock.ts'
import { Projections } from '../../src/node/projections.ts'
import { systemClock } from '../../src/platform/system.ts'
import { BEGINNING } from '../../src/read/all.ts'
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
function open(onHandle: () => unknown = () => undefined, ofNode?: Clock) {
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
    on: {
      Done: ({ id }, { seen }) => {
        seen.push(id)
        return onHandle()
      },
    },
  })
  const feeds = row.feeds()
  const options = {
    feeds: () => feeds,
    clock: ofNode ?? clock,
    lanesHere: () => (state.isHere ? feeds.lanes : []),
    dataDir: 'none',
  }
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
  onTestFinished(() => projections.close(1_000))
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

test('who gives up waiting for a rebuild is told so at once, also where its store was never opened', async () => {
  const { state, projections, ref, pass } = open()
  const given = async (): Promise<void> => {
    const stop = new AbortController()
    const waiting = expect(ref.rebuilt(2, { signal: stop.signal })).rejects.toMatchObject({ code: 'Aborted' })
    stop.abort()
    await waiting
  }
  state.problem = new ConnectionLost('nobody is there')
  projections.start()
  await given()
  state.problem = undefined
  await pass(2_000)
  state.isHere = false
  await pass(1_000)
  expect(await ref.rebuild()).toBe(2)
  await given()
})

test('what is parked is told with its time and its reason, and from outside in plain data', async () => {
  const { row, store, projections, ref, pass, call } = open()
  projections.start()
  row.add('Done', 'a/1')
  row.add('Done', 'a/1')
  await pass(1_000)
  const parked = { stream: 'a/1', place: BEGINNING, type: 'Done', parkedAt: 1_700_000_000_123 }
  store.generation(1).parked.set('a/1 1', { ...parked, version: 1, reason: 'Error: poison' })
  store.generation(1).parked.set('a/1 2', { ...parked, version: 2, reason: '' })
  const parkedAt = new Date(parked.parkedAt)
  expect(await ref.parked()).toEqual([
    { ...parked, version: 1, reason: 'Error: poison', parkedAt },
    { ...parked, version: 2, reason: undefined, parkedAt },
  ])
  expect(await call('parked', { options: { limit: 5 } })).toEqual([
    { ...parked, version: 1, reason: 'Error: poison' },
    { ...parked, version: 2, reason: '' },
  ])
})

test('what is about to run here is not said to run elsewhere', async () => {
  const { state, projections, ref, pass } = open()
  state.isHere = false
  projections.start()
  expect(projections.conditions).toMatchObject([{ state: 'starting' }])
  expect(await ref.status()).toMatchObject({ state: 'starting', generation: 0 })
  await pass(1_000)
  expect(await ref.status()).toMatchObject({ state: 'elsewhere' })
  // The shard is served; the lane begins at the next look.
  state.isHere = true
  expect(projections.conditions).toMatchObject([{ state: 'starting' }])
  expect(await ref.status()).toMatchObject({ state: 'starting', generation: 1, lanes: [] })
  await pass(1_000)
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

test('while its store cannot be opened a query has its time, and is ended by its signal', async () => {
  const { state, projections, ref, pass } = open()
  state.problem = new ConnectionLost('nobody is there')
  projections.start()
  await pass(500)
  const late = expect(ref.query(({ seen }) => seen, { timeoutMs: 1_000 })).rejects.toMatchObject({
    code: 'ReadModelUnavailable',
    outcome: 'none',
    retryable: true,
    message: expect.stringMatching(/within 1000 ms: .*nobody is there/) as string,
  })
  const controller = new AbortController()
  const aborted = expect(ref.query(({ seen }) => seen, { signal: controller.signal })).rejects.toMatchObject({
    code: 'Aborted',
  })
  const patient = ref.query(({ seen }) => seen)
  controller.abort()
  await aborted
  await expect(ref.query(({ seen }) => seen, { signal: controller.signal })).rejects.toMatchObject({ code: 'Aborted' })
  await pass(1_000)
  await late
  state.problem = undefined
  await pass(2_000)
  expect(await patient).toEqual([])
})

test('a query has its time also where timers end one after the other', async () => {
  const { state, projections, ref } = open(undefined, systemClock)
  state.problem = new ConnectionLost('nobody is there')
  projections.start()
  await expect(ref.query(({ seen }) => seen, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'ReadModelUnavailable' })
})

test('a read model that is opened and does not say what it has is closed again', async () => {
  const { state, projections, ref, pass, store } = open()
  projections.start()
  store.faults = ['lost', 'lost']
  await pass(5_000)
  expect(await ref.query(({ seen }) => seen)).toEqual([])
  expect(state.openings).toBe(3)
  expect(store.closings).toBe(2)
})

test('closing ends in time, whatever a handler does', async () => {
  const { row, projections, pass, store } = open(() => new Promise(() => undefined))
  projections.start()
  row.add('Done', 'a/1')
  await pass(1_000)
  let isClosed = false
  const closing = projections.close(3_000).then(() => (isClosed = true))
  await pass(1_250)
  expect(isClosed).toBe(false)
  await pass(1_750)
  await closing
  await pass(500)
  expect(store.closings).toBe(1)
})
