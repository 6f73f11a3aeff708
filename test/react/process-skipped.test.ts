/** A command of a process that somebody skips: it frees its place, and its process hears what became of it. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { defineAggregate, defineProcess } from '../../src/index.ts'
import { aggregateOf } from '../../src/react/process-aggregate.ts'
import { consumersOf } from '../../src/react/process-consumers.ts'
import type { AnyProcess, ProcessState } from '../../src/react/process.ts'
import { shardOf } from '../read/event-row.ts'
import { LaneBench, SHARD } from './lane-bench.ts'
import { away } from './memory-effects.ts'
import { ProcessWorld } from './process-world.ts'

const Source = defineAggregate({
  type: 'source',
  initialState: () => 0,
  events: { Said: (count, _said: { what: string }) => count + 1 },
  commands: { say: (_count, said: { what: string }, { emit }) => emit.Said(said) },
})

let isBroken = true
const Target = defineAggregate({
  type: 'target',
  initialState: (): readonly string[] => [],
  events: { Done: (done, data: { what: string }) => [...done, data.what] },
  commands: {
    do: (_done, { what }: { what: string }, { emit }) => {
      if (isBroken) throw new Error('it is broken')
      return emit.Done({ what })
    },
  },
})

function create(onOutcome?: (outcome: unknown) => void): AnyProcess {
  const hears = onOutcome && { 'target/do': (_heard: unknown, outcome: unknown) => void onOutcome(outcome) }
  return defineProcess({
    type: 'listener',
    from: [Source],
    to: [Target],
    timers: [],
    startAt: 'beginning',
    correlate: { Said: () => 'k' },
    initialState: (): readonly string[] => [],
    retries: 0,
    evolve: { 'target/do': (heard, { kind }) => [...heard, kind] },
    on: { Said: (_heard, { data }, { send }) => send(Target, 't', 'do', data), ...(hears as object) },
  })
}

/** A process with one command that cannot be sent. */
async function worldOf(process: AnyProcess) {
  isBroken = true
  const world = new ProcessWorld([Source, Target, aggregateOf(process)])
  const [told, sent] = consumersOf(process)
  world.ask('source/1', 'say', { what: 'a' })
  await world.run([told!])
  const event = world.of('listener/k').find(({ type }) => type === '$sent')!
  return {
    world,
    sent: sent!,
    event,
    giveUp: () => world.giveUp(sent!, event),
    state: () => world.state('listener/k') as ProcessState<readonly string[]>,
  }
}

test('one that had no effect has failed, and its handler is told once', async () => {
  const outcomes: unknown[] = []
  const { world, giveUp, state } = await worldOf(create((outcome) => outcomes.push(outcome)))
  await giveUp()
  await giveUp()
  expect(outcomes).toMatchObject([{ kind: 'failed', code: 'Skipped', stream: 'target/t', name: 'do', n: 1 }])
  expect(state()).toMatchObject({ sends: [], state: ['failed'] })
  expect(world.state('target/t')).toEqual([])
})

test('one that nobody waits for frees its place', async () => {
  const { giveUp, state } = await worldOf(create())
  expect(state().sends).toHaveLength(1)
  await giveUp()
  expect(state()).toMatchObject({ sends: [], state: ['failed'] })
})

test('one that was accepted is told so, also where its handler could not be told and still cannot', async () => {
  const { world, sent, event, giveUp, state } = await worldOf(
    create(() => {
      throw new Error('its author is on holiday')
    }),
  )
  isBroken = false
  await expect(world.tellAgain(sent, event)).rejects.toThrow('its author is on holiday')
  expect(world.state('target/t')).toEqual(['a'])
  await giveUp()
  expect(state()).toMatchObject({ sends: [], state: ['accepted'] })
  const fact = world.of('listener/k').at(-1)!
  expect(fact).toMatchObject({ type: '$outcome', data: { kind: 'accepted', version: 1, n: 1 } })
  expect(fact.data).not.toHaveProperty('isUnheard')
  expect(fact.position).toBeGreaterThan(world.of('target/t')[0]!.position)
})

test('while nobody can tell what became of it, nothing is told', async () => {
  const { world, giveUp, state } = await worldOf(create())
  world.wrap = (effects) => ({ ...effects, find: () => Promise.reject(away()) })
  await expect(giveUp()).rejects.toMatchObject({ code: 'ShardUnavailable' })
  expect(state().sends).toHaveLength(1)
})

/** A lane whose consumer wants to know of what is skipped. */
function openLane() {
  const bench = new LaneBench({ retries: 0 })
  const told: string[] = []
  /** The order of all that begins. */
  const order: string[] = []
  const world = { bench, told, order, onGivenUp: (_id: string): unknown => undefined }
  bench.onHandle = ({ id }) => void order.push(id)
  const start = () =>
    bench.open(undefined, {
      givesUp: async ({ id }) => {
        await setImmediate()
        await world.onGivenUp(id)
        told.push(id)
        order.push(`skipped ${id}`)
      },
    })
  const skip = (version: number) => bench.operate('skip', { stream: 'a/0', version, reason: 'because' })
  const parked = () => bench.effects.record(SHARD).parked['a/0']
  return Object.assign(world, { start, skip, parked })
}

test('its lane tells of each that is skipped, before what waits behind it', async () => {
  expect(shardOf('a/0')).toBe(SHARD)
  const { bench, told, order, start, skip, parked } = openLane()
  bench.add('a/0', 'a/0', 'a/0')
  bench.poison.add('a/0/1')
  start()
  await bench.until(() => parked() !== undefined)
  await skip(1)
  await skip(2)
  await bench.until(() => told.length === 2)
  expect(order).toEqual(['skipped a/0/1', 'skipped a/0/2'])
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => parked() === undefined)
  expect(order).toEqual(['skipped a/0/1', 'skipped a/0/2', 'a/0/3'])
})

test('who takes the lane over tells of what was skipped before, and waits for what is away', async () => {
  const world = openLane()
  const { bench, told, order, start, skip, parked } = world
  bench.add('a/0', 'a/0')
  bench.poison.add('a/0/1')
  const first = start()
  await bench.until(() => parked() !== undefined)
  await bench.during(first.close(0))
  await skip(1)
  await bench.operate('retry', { stream: 'a/0' })
  let isAway = true
  world.onGivenUp = async () => {
    // As where what is asked for is away: its attempt is tried again.
    if (isAway) await new Promise(() => undefined)
  }
  const second = start()
  await bench.pass(1_000)
  expect(order).toEqual([])
  await bench.during(second.close(0))
  isAway = false
  start()
  await bench.until(() => parked() === undefined)
  expect(told).toEqual(['a/0/1'])
  expect(order).toEqual(['skipped a/0/1', 'a/0/2'])
})

test('one that is skipped while it is tried again is told of once that has ended', async () => {
  const { bench, told, order, start, skip, parked } = openLane()
  bench.add('a/0', 'a/0')
  bench.poison.add('a/0/1')
  start()
  await bench.until(() => parked() !== undefined)
  bench.poison.clear()
  const held = Promise.withResolvers<void>()
  bench.onHandle = async ({ id }) => {
    if (id === 'a/0/1') {
      await held.promise
      throw new Error('it has failed once more')
    }
    order.push(id)
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.filter((id) => id === 'a/0/1').length === 2)
  await skip(1)
  await bench.pass(2_000)
  expect(told).toEqual([])
  held.resolve()
  await bench.until(() => parked() === undefined)
  expect(new Set(told)).toEqual(new Set(['a/0/1']))
  expect(order[0]).toBe('skipped a/0/1')
  expect(order.at(-1)).toBe('a/0/2')
})

test('a lane that ends while it tells of the last of a stream leaves that to whoever comes next', async () => {
  const world = openLane()
  const { bench, told, start, skip, parked } = world
  bench.add('a/0')
  bench.poison.add('a/0/1')
  const first = start()
  await bench.until(() => parked() !== undefined)
  bench.poison.clear()
  const held = Promise.withResolvers<void>()
  bench.onHandle = async () => {
    await held.promise
    throw new Error('it has failed once more')
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 2)
  let isTelling = false
  world.onGivenUp = () => {
    isTelling = true
    return new Promise(() => undefined)
  }
  // It is found to be skipped before the lane hears of that.
  bench.effects.onRecorded = () => undefined
  await skip(1)
  held.resolve()
  await bench.until(() => isTelling)
  await bench.during(first.close(0))
  world.onGivenUp = () => undefined
  expect(parked()).toBeDefined()
  start()
  await bench.until(() => parked() === undefined)
  expect(told).toEqual(['a/0/1'])
})

test('what is skipped while another is told of, or tried again, is told of as well', async () => {
  const world = openLane()
  const { bench, told, order, start, skip, parked } = world
  bench.add('a/0', 'a/0', 'a/0', 'a/0')
  bench.poison.add('a/0/1')
  start()
  await bench.until(() => parked() !== undefined)
  const held = Promise.withResolvers<void>()
  let isTelling = false
  world.onGivenUp = () => {
    isTelling = true
    return held.promise
  }
  await skip(1)
  await bench.until(() => isTelling)
  await skip(2)
  await bench.pass(2_000)
  held.resolve()
  await bench.until(() => told.length === 2)
  const tried = Promise.withResolvers<void>()
  bench.onHandle = async ({ id }) => {
    order.push(id)
    if (id === 'a/0/3') await tried.promise
  }
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => order.includes('a/0/3'))
  await skip(3)
  await skip(4)
  await bench.pass(2_000)
  tried.resolve()
  await bench.until(() => parked() === undefined)
  expect(order).toEqual(['skipped a/0/1', 'skipped a/0/2', 'a/0/3', 'skipped a/0/4'])
})

test('where it cannot be told of, that is a warning, and its stream goes on', async () => {
  const world = openLane()
  const { bench, order, start, skip, parked } = world
  world.onGivenUp = () => {
    throw new Error('its data is damaged')
  }
  bench.add('a/0', 'a/0')
  bench.poison.add('a/0/1')
  start()
  await bench.until(() => parked() !== undefined)
  await skip(1)
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => parked() === undefined)
  expect(order).toEqual(['a/0/2'])
  expect(bench.warnings.filter((warning) => warning.includes('its data is damaged'))).toHaveLength(1)
})
