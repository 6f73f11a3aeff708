import { expect, test } from 'vitest'
import type { Aggregate } from '../../src/aggregate/aggregate.ts'
import { defineAggregate, defineProcess, isPenholdError } from '../../src/index.ts'
import { aggregateOf } from '../../src/react/process-aggregate.ts'
import { consumersOf } from '../../src/react/process-consumers.ts'
import type { AnyProcess, ProcessState } from '../../src/react/process.ts'
import { ProcessWorld } from './process-world.ts'

const Source = defineAggregate({
  type: 'source',
  initialState: () => 0,
  events: {
    Said: (count, _data: { key?: string; what: string }) => count + 1,
    Hushed: (count) => count,
  },
  commands: {
    say: (_count, said: { key?: string; what: string }, { emit }) => emit.Said(said),
    hush: (_count, _none: undefined, { emit }) => emit.Hushed(),
  },
})

const Target = defineAggregate({
  type: 'target',
  initialState: (): readonly string[] => [],
  events: { Done: (done, data: { what: string }) => [...done, data.what] },
  commands: {
    do: (done, { what }: { what: string }, { emit, reject }) => {
      if (what === 'broken') throw new Error('it is broken')
      return done.includes(what) ? reject('done-already', { what }) : emit.Done({ what })
    },
  },
})

interface Heard {
  readonly heard: readonly string[]
}

function create(on: (what: string, context: any) => unknown, more: object = {}): AnyProcess {
  return defineProcess({
    type: 'listener',
    from: [Source],
    to: [Target],
    timers: ['later', 'soon'],
    startAt: 'beginning',
    correlate: { Said: ({ data }) => data.key },
    initialState: (): Heard => ({ heard: [] }),
    retries: 2,
    evolve: {
      Said: ({ heard }, { data }) => ({ heard: [...heard, data.what] }),
      later: ({ heard }) => ({ heard: [...heard, 'later'] }),
      soon: ({ heard }) => ({ heard: [...heard, 'soon'] }),
    },
    on: { Said: (_state, { data }, context) => void on(data.what, context) },
    ...more,
  })
}

function worldOf(process: AnyProcess, aggregates: readonly Aggregate[] = [Source, Target]) {
  const world = new ProcessWorld([...aggregates, aggregateOf(process)])
  const [told, sent] = consumersOf(process)
  return {
    world,
    told: told!,
    sent: sent!,
    say: (what: string, key: string | null = 'k') =>
      world.ask('source/1', 'say', key === null ? { what } : { key, what }),
    facts: () => world.of('listener/k').map(({ type }) => type),
    state: () => world.state('listener/k') as ProcessState<Heard>,
  }
}

const nothing = (): void => undefined

test('an event goes to the process of its key, and to none where there is none', async () => {
  const { world, told, sent, say, state } = worldOf(create(nothing))
  say('a')
  say('b', 'other')
  say('c', null)
  await world.run([told, sent])
  expect(state().state.heard).toEqual(['a'])
  expect((world.state('listener/other') as ProcessState<Heard>).state.heard).toEqual(['b'])
  expect(world.events.map(({ stream }) => stream).filter((stream) => stream.startsWith('listener/'))).toHaveLength(2)
})

test('what it was told stands in its stream as it was, behind its cause and with its correlation', async () => {
  const { world, told, say } = worldOf(create(nothing))
  say('a')
  await world.run([told])
  const [said] = world.of('source/1')
  const [fact] = world.of('listener/k')
  const { id, stream, version, position, time, metadata } = said!
  expect(fact).toMatchObject({
    type: '$told',
    data: { type: 'Said', shape: 1, data: said!.data, id, stream, version, position, time: time.getTime(), metadata },
    metadata: { correlationId: metadata.correlationId, causationId: id },
  })
  expect(fact!.position).toBeGreaterThan(position)
})

test('an event that is told twice counts once, however often something else was told meanwhile', async () => {
  const { world, told, say, state } = worldOf(create(nothing))
  say('a')
  await world.run([told])
  for (let i = 0; i < 100; i += 1) say(`${i}`)
  await world.run([told])
  await world.tellAgain(told, world.of('source/1')[0]!)
  expect(state().state.heard.filter((what) => what === 'a')).toEqual(['a'])
})

test('an event that is told again in another shape, after an upcaster came, counts once', async () => {
  const { world, told, say, state } = worldOf(create(nothing))
  say('a')
  await world.run([told])
  const [said] = world.of('source/1')
  await world.tellAgain(told, { ...said!, data: { key: 'k', what: 'upcast' } })
  expect(state().state.heard).toEqual(['a'])
})

test('commands are sent in their order, each once, and their outcomes are recorded', async () => {
  const process = create((what, { send }) => {
    if (what === 'twice') for (const name of ['x', 'y', 'x']) send(Target, 't', 'do', { what: name })
  })
  const { world, told, sent, say, facts, state } = worldOf(process)
  say('twice')
  await world.run([told, sent])
  expect(world.state('target/t')).toEqual(['x', 'y'])
  expect(facts()).toEqual(['$told', '$sent', '$sent', '$sent', '$outcome', '$outcome', '$outcome'])
  expect(world.of('listener/k').at(-1)!.data).toMatchObject({
    n: 3,
    stream: 'target/t',
    name: 'do',
    kind: 'rejected',
    code: 'done-already',
    details: { what: 'x' },
  })
  expect(state()).toMatchObject({ sends: [], sent: 3 })
  const [done] = world.of('target/t')
  expect(done!.metadata.correlationId).toBe(world.of('source/1')[0]!.metadata.correlationId)
  expect(done!.metadata.causationId).toBe(world.of('listener/k')[1]!.id)
  expect(world.of('listener/k')[4]!.position, 'an outcome stands behind what it is of').toBeGreaterThan(done!.position)
})

test('a command whose outcome is recorded is not sent again, though it would be accepted by now', async () => {
  const { world, told, sent, say } = worldOf(
    create((what, { send }) => what === 'go' && send(Target, 't', 'do', { what: 'x' })),
  )
  world.ask('target/t', 'do', { what: 'x' })
  say('go')
  await world.run([told, sent])
  const [request] = world.of('listener/k').filter(({ type }) => type === '$sent')
  world.forget('target/t')
  expect(world.state('target/t')).toEqual([])
  await world.tellAgain(sent, request!)
  expect(world.state('target/t')).toEqual([])
})

test('what becomes of a command is told to its handler, which may compensate', async () => {
  const process = create((what, { send }) => send(Target, 't', 'do', { what }), {
    on: {
      Said: (_state: Heard, { data }: any, { send }: any) => send(Target, 't', 'do', data),
      'target/do': (_state: Heard, outcome: any, { send }: any) =>
        outcome.kind === 'rejected' ? send(Target, 'other', 'do', { what: outcome.code }) : undefined,
    },
  })
  const { world, told, sent, say } = worldOf(process)
  say('x')
  say('x')
  await world.run([told, sent])
  expect(world.state('target/other')).toEqual(['done-already'])
})

test('a command that fails is tried again, and then its handler hears of it', async () => {
  const outcomes: unknown[] = []
  const process = create(nothing, {
    on: {
      Said: (_state: Heard, { data }: any, { send }: any) => send(Target, 't', 'do', data),
      'target/do': (_state: Heard, outcome: unknown) => void outcomes.push(outcome),
    },
  })
  const { world, told, sent, say } = worldOf(process)
  let asked = 0
  world.wrap = (effects) => ({
    ...effects,
    ask: (command) => {
      if (command.stream === 'target/t') asked += 1
      return effects.ask(command)
    },
  })
  say('broken')
  await world.run([told, sent])
  expect(asked).toBe(3)
  expect(outcomes).toMatchObject([{ kind: 'failed', code: 'HandlerFailed', stream: 'target/t', name: 'do', n: 1 }])
})

test('a command that fails and that no handler waits for fails its event, to be parked', async () => {
  const { world, told, sent, say, facts } = worldOf(create((what, { send }) => send(Target, 't', 'do', { what })))
  say('broken')
  await world.run([told])
  await expect(world.run([sent])).rejects.toThrow('it is broken')
  expect(facts()).toEqual(['$told', '$sent'])
})

test('a command to an aggregate that is away, or that this code does not have, is no failure of it', async () => {
  const { world, told, sent, say, facts } = worldOf(
    create(nothing, {
      on: {
        Said: (_state: Heard, { data }: any, { send }: any) => send(Target, 't', 'do', data),
        'target/do': nothing,
      },
    }),
  )
  say('x')
  await world.run([told])
  world.deploy([Source, aggregateOf(create(nothing))])
  await expect(world.run([sent])).rejects.toMatchObject({ code: 'UnknownCommand' })
  world.wrap = (effects) => ({
    ...effects,
    ask: (command) =>
      effects.ask(command).catch((error: unknown) => {
        throw isPenholdError(error) ? Object.assign(error, { code: 'ShardUnavailable', retryable: true }) : error
      }),
  })
  await expect(world.run([sent])).rejects.toMatchObject({ code: 'ShardUnavailable' })
  expect(facts()).toEqual(['$told', '$sent'])
})

test('timers are set, replaced and cancelled, and fire once, by their token', async () => {
  const process = create((what, { schedule, cancel, now }) => {
    if (what === 'set') schedule('later', { inMs: 1_000 })
    if (what === 'set both') {
      schedule('later', { at: new Date(5) })
      schedule('soon', { at: now })
    }
    if (what === 'cancel') cancel('later')
  })
  const { world, told, say, facts, state } = worldOf(process)
  for (const what of ['cancel', 'set', 'set both']) say(what)
  await world.run([told])
  // It was replaced.
  world.fire('listener/k', { id: 'later', token: '1' })
  expect(state().timers).toMatchObject([{ token: '2' }, { token: '3' }])
  say('cancel')
  await world.run([told])
  expect(facts().slice(1)).toEqual([
    '$told',
    '$timerSet',
    '$told',
    '$timerSet',
    '$timerSet',
    '$told',
    '$timerCancelled',
  ])
  const sets = world.of('listener/k').filter(({ type }) => type === '$timerSet')
  const { time } = world.of('listener/k').find(({ type }) => type === '$timerSet')!
  expect(sets.map(({ data }) => data)).toMatchObject([
    { id: 'later', token: '1' },
    { id: 'later', at: 5, token: '2' },
    { id: 'soon', token: '3' },
  ])
  expect((sets[0]!.data as { at: number }).at).toBeGreaterThanOrEqual(time.getTime() + 1_000 - 5)
  expect(state().timers).toMatchObject([{ id: 'soon', token: '3' }])
  world.fire('listener/k', { id: 'later', token: '2' })
  world.fire('listener/k', { id: 'soon', token: '3' })
  world.fire('listener/k', { id: 'soon', token: '3' })
  expect(state().state.heard.slice(4)).toEqual(['soon'])
  expect(facts().at(-1)).toBe('$timerFired')
  expect(state().timers).toEqual([])
})

test('what is completed is told nothing more, its timers are gone, and what it has sent goes on', async () => {
  const handled: string[] = []
  const process = create(nothing, {
    on: {
      Said(_state: Heard, { data: { what } }: any, { send, schedule, complete }: any) {
        handled.push(what)
        complete()
        schedule('later', { inMs: 5 })
        send(Target, 't', 'do', { what })
      },
      'target/do': () => void handled.push('outcome'),
      later: () => void handled.push('later'),
    },
  })
  const { world, told, sent, say, facts, state } = worldOf(process)
  say('a')
  await world.run([told])
  say('b')
  await world.run([told, sent])
  world.fire('listener/k', { id: 'later', token: '1' })
  expect(handled.filter((what) => what !== 'a')).toEqual([])
  expect(facts()).toEqual(['$told', '$timerSet', '$sent', '$completed', '$outcome'])
  expect(state()).toMatchObject({ isCompleted: true, timers: [], sends: [], state: { heard: ['a'] } })
  expect(world.state('target/t')).toEqual(['a'])
})

test('a replay decides nothing, and reads what older code has left', async () => {
  const older = create((what, { send, schedule }) => {
    schedule('later', { inMs: 1 })
    send(Target, 't', 'do', { what })
  })
  const { world, told, sent, say, facts, state } = worldOf(older)
  say('a')
  await world.run([told, sent])
  world.fire('listener/k', { id: 'later', token: '1' })
  const before = facts()
  const newer = defineProcess({
    type: 'listener',
    from: [Source],
    startAt: 'beginning',
    correlate: { Hushed: () => 'k' },
    initialState: (): Heard => ({ heard: [] }),
    on: {
      Hushed: () => {
        throw new Error('nobody asks')
      },
    },
  })
  world.deploy([Source, Target, aggregateOf(newer)])
  expect(state()).toMatchObject({ state: { heard: [] }, sent: 1, timersSet: 1, sends: [], timers: [] })
  await world.run(consumersOf(newer))
  expect(facts()).toEqual(before)
})

test('events that were told are brought to the shape of today, by the upcasters of their aggregate', async () => {
  const { world, told, say, state } = worldOf(create(nothing))
  say('a')
  await world.run([told])
  const Newer = defineAggregate({
    type: 'source',
    initialState: () => 0,
    events: { Spoken: (count, _data: { key?: string; words: string }) => count + 1 },
    commands: { speak: (_count, spoken: { key?: string; words: string }, { emit }) => emit.Spoken(spoken) },
    renamedEvents: { Said: 'Spoken' },
    upcasters: { Spoken: [({ key, what }: { key: string; what: string }) => ({ key, words: what })] },
  })
  const newer = defineProcess({
    type: 'listener',
    from: [Newer],
    startAt: 'beginning',
    correlate: { Spoken: ({ data }) => data.key },
    initialState: (): Heard => ({ heard: [] }),
    evolve: { Spoken: ({ heard }, { data }) => ({ heard: [...heard, `${data.words}!`] }) },
    on: {},
  })
  world.deploy([Newer, aggregateOf(newer)])
  expect(state().state.heard).toEqual(['a!'])
  // Older code cannot know what newer was told.
  world.ask('source/2', 'speak', { key: 'k', words: 'b' })
  await world.run(consumersOf(newer))
  world.deploy([Source, aggregateOf(create(nothing))])
  expect(() => state()).toThrow(`source has no evolve function for the stored event 'Spoken'`)
})

test.each<[string, (context: any) => unknown, string]>([
  [
    'to an aggregate that is none of its own',
    ({ send }) => send(Source, 'a', 'say', {}),
    `sends to 'source', which is none of its 'to'`,
  ],
  ['to nothing', ({ send }) => send(undefined, 'a', 'do'), `sends to undefined, which is none of its 'to'`],
  ['a command that there is not', ({ send }) => send(Target, 'a', 'undo'), `target has no command 'undo'; it has do`],
  ['to an id that is none', ({ send }) => send(Target, '', 'do'), `'do' to target: an aggregate's id is empty`],
  ['what cannot be sent', ({ send }) => send(Target, 'a', 'do', { at: new Date() }), 'it cannot be sent (payload.at'],
  ['no timer of its own', ({ schedule }) => schedule('now', { inMs: 0 }), `no timer 'now'; it has later, soon`],
  ['a timer without a name', ({ schedule }) => schedule({ inMs: 1 }), 'an object was given; give its name first'],
  ['a timer without a name, cancelled', ({ cancel }) => cancel(), 'and undefined was given; give its name first'],
  ['a timer without a time', ({ schedule }) => schedule('later', {}), `the timer 'later' is given neither`],
  [
    'a timer in the past of all',
    ({ schedule }) => schedule('later', { inMs: -1 }),
    `the timer 'later' is given neither`,
  ],
  [
    'more than can wait',
    ({ send }) => Array.from({ length: 1_001 }, () => send(Target, 't', 'do', {})),
    '1000 commands of the process wait',
  ],
  ['with a promise', () => Promise.resolve(), 'it returned a promise'],
  ['with a value', () => 5, 'returned 5, and what it returns has no effect'],
])('a decision fails that asks for %s, and nothing of it is recorded', async (_what, ask, message) => {
  const { world, told, say, facts } = worldOf(
    create(nothing, {
      on: {
        Said: (_state: Heard, _event: unknown, context: any) => {
          context.send(Target, 'before', 'do', { what: 'x' })
          return ask(context)
        },
      },
    }),
  )
  say('a')
  await expect(world.run([told])).rejects.toThrow(message)
  expect(facts()).toEqual([])
})

test('what a handler asks for after it has ended is refused', async () => {
  let late: any
  const { world, told, say } = worldOf(create((_what, context) => (late = context)))
  say('a')
  await world.run([told])
  expect(() => late.send(Target, 'a', 'do', { what: 'x' })).toThrow('handlers are synchronous')
  expect(() => late.complete()).toThrow('handlers are synchronous')
})

test('a payload is sent as it was when it was given: whoever changes it for the next one fails', async () => {
  const { world, told, say, facts } = worldOf(
    create((_what, { send }) => {
      const order = { what: 'x' }
      send(Target, 'a', 'do', order)
      order.what = 'y'
      send(Target, 'a', 'do', order)
    }),
  )
  say('a')
  await expect(world.run([told])).rejects.toThrow('read only')
  expect(facts()).toEqual([])
})

test('a key that can be none fails its event', async () => {
  const { world, told, say } = worldOf(create(nothing))
  say('a', '')
  await expect(world.run([told])).rejects.toThrow(`what correlate gives for 'Said' is no key`)
})
