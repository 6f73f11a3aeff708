/** What somebody wants of a lane while something else is under way there. */
import { expect, test } from 'vitest'
import { PenholdError } from '../../src/aggregate/error.ts'
import { BEGINNING } from '../../src/read/all.ts'
import { LaneBench, SHARD } from './lane-bench.ts'
import { away } from './memory-effects.ts'

async function parked(bench: LaneBench): Promise<void> {
  await bench.until(() => bench.effects.record(SHARD).parked['a/0'] !== undefined)
}

test('a pause that could not be read at first is obeyed', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => bench.done.length === 1)
  await bench.pass(3_000)
  const before = bench.effects.onRecorded
  bench.effects.onRecorded = (stream, type) => {
    before(stream, type)
    if (type === 'Paused') bench.effects.faults.push('before')
  }
  await bench.operate('pause')
  await bench.pass(10_000)
  expect(lane.condition).toBe('paused')
})

test('a pause holds what is tried again, too, until it is resumed', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  const lane = bench.open()
  await parked(bench)
  bench.poison.clear()
  const first = Promise.withResolvers<void>()
  bench.onHandle = () => first.promise
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 2)
  await bench.operate('pause')
  await bench.until(() => lane.condition === 'paused')
  first.resolve()
  await bench.pass(60_000)
  expect(bench.begun).toHaveLength(2)
  await bench.operate('resume')
  await bench.until(() => bench.done.length === 2)
})

/** The first answer to a question from here on is on its way until it is released. */
function holdFirstAnswer({ effects }: LaneBench) {
  const query = effects.query.bind(effects)
  const gate = Promise.withResolvers<void>()
  let isHeld = false
  effects.query = async (question) => {
    const answer = await query(question)
    if (!isHeld) {
      isHeld = true
      await gate.promise
    }
    return answer
  }
  return { isHeld: () => isHeld, release: () => gate.resolve() }
}

test('a pause that comes while a lane begins is obeyed once it is told so, though it has read what stood there before', async () => {
  const bench = new LaneBench()
  bench.add('a/0')
  await bench.operate('begin', { place: BEGINNING })
  const first = holdFirstAnswer(bench)
  const lane = bench.open()
  await bench.turns()
  expect(first.isHeld()).toBe(true)
  await bench.operate('pause')
  await bench.during(lane.look())
  first.release()
  await bench.pass(1_000)
  expect(bench.begun).toEqual([])
  await bench.operate('resume')
  await bench.until(() => bench.done.length === 1)
})

test('nor is it undone by who has asked before and hears of that once the lane has begun anew', async () => {
  const bench = new LaneBench()
  bench.add('a/0')
  const lane = bench.open()
  await bench.until(() => bench.done.length === 1)
  await bench.pass(3_000)
  const first = holdFirstAnswer(bench)
  const looked = lane.look()
  await bench.turns()
  await bench.operate('pause')
  // Somebody else runs the lane for a moment.
  const { place, turn } = bench.effects.record(SHARD)
  const event = { stream: 'a/6', version: 1, type: 'Done', position: 1, reason: 'no', at: 0 }
  await bench.operate('park', { from: place, turn, event })
  bench.add('a/3')
  await bench.until(() => lane.condition === 'paused')
  first.release()
  await bench.during(looked)
  await bench.pass(1_000)
  expect(bench.begun).toEqual(['a/0/1', 'a/3/1'])
})

test('a lane that is closed while it loads begins nothing', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const one = bench.open()
  await parked(bench)
  await bench.during(one.close(0))
  bench.poison.clear()
  await bench.operate('retry', { stream: 'a/0' })
  const query = bench.effects.query.bind(bench.effects)
  const gate = Promise.withResolvers<void>()
  bench.effects.query = async (question) => {
    await gate.promise
    return await query(question)
  }
  const two = bench.open()
  await bench.turns()
  await bench.during(two.close(0))
  const begun = bench.begun.length
  gate.resolve()
  await bench.pass(3_000)
  expect(bench.begun).toHaveLength(begun)
})

test('what is tried again when its lane is closed has its time as all that is under way, and is recorded', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const one = bench.open()
  await parked(bench)
  bench.poison.clear()
  const first = Promise.withResolvers<void>()
  bench.onHandle = () => first.promise
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 2)
  const closed = one.close(1_000)
  await bench.pass(500)
  first.resolve()
  await bench.during(closed)
  bench.open()
  await bench.pass(3_000)
  expect(bench.effects.record(SHARD).parked['a/0']).toBeUndefined()
  expect(bench.begun).toEqual(['a/0/1', 'a/0/1'])
})

test('what is resumed while an event is being parked does not begin that event', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.add('a/3')
  bench.open()
  await bench.until(() => bench.done.length === 1)
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  const ask = bench.effects.ask.bind(bench.effects)
  const gate = Promise.withResolvers<void>()
  bench.effects.ask = async (command) => {
    if (command.name === 'park') await gate.promise
    return await ask(command)
  }
  await bench.until(() => bench.begun.includes('a/0/1'))
  bench.poison.clear()
  await bench.operate('resume')
  bench.add('a/0')
  await bench.pass(3_000)
  gate.resolve()
  await parked(bench)
  expect(bench.begun).toEqual(['a/3/1', 'a/0/1'])
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.done.length === 4)
  expect(bench.done).toEqual(['a/3/1', 'a/0/1', 'a/0/2', 'a/0/3'])
})

/** Nobody mends it by waiting. */
const broken = (): PenholdError =>
  new PenholdError('BadDefinition', 'it cannot be read', { outcome: 'none', retryable: false })

test('a record that cannot be read halts its lane, which looks for it now and then, and goes on by itself', async () => {
  const bench = new LaneBench()
  bench.add('a/0')
  const query = bench.effects.query.bind(bench.effects)
  let [asked, failures] = [0, 500]
  bench.effects.query = async (question) => {
    asked += 1
    if ((failures -= 1) >= 0) throw broken()
    return await query(question)
  }
  const lane = bench.open()
  await bench.pass(20_000)
  expect(lane.condition).toBe('halted')
  expect(asked).toBeLessThan(30)
  expect(bench.warnings).toEqual(['reactor mails, shard 0: it cannot be read'])
  failures = 0
  await bench.until(() => bench.done.length === 1)
  expect(lane.condition).toBe('running')
})

/** Once a step of the lane's is refused: where it is soon, it is resumed before it knows what the record says. */
function whenRefused(bench: LaneBench, isSoon: boolean): Promise<void> {
  const ask = bench.effects.ask.bind(bench.effects)
  const { promise, resolve } = Promise.withResolvers<void>()
  bench.effects.ask = async (command) => {
    const outcome = await ask(command)
    if (outcome.kind === 'rejected' && isSoon) resolve(bench.operate('resume'))
    return outcome
  }
  return promise
}

test.for([
  ['before', true],
  ['after', false],
] as const)(
  'a lane that is halted for good and stale obeys who resumes it, %s it knows where it is',
  async ([, isSoon]) => {
    const bench = new LaneBench({ retries: 0 })
    bench.poison.add('a/0/1')
    bench.add('a/0')
    const lane = bench.open()
    await parked(bench)
    let isBroken = true
    bench.row.bend = (event) => {
      if (isBroken && event.id === 'a/3/1') throw broken()
      return event
    }
    bench.add('a/3')
    await bench.until(() => lane.condition === 'halted')
    // Somebody else has taken a step of the record, so that this one's next is refused.
    const { place, turn } = bench.effects.record(SHARD)
    const event = { stream: 'a/6', version: 1, type: 'Done', position: 1, reason: 'no', at: 0 }
    await bench.operate('park', { from: place, turn, event })
    const resumed = whenRefused(bench, isSoon)
    isBroken = false
    await bench.operate('retry', { stream: 'a/0' })
    await bench.pass(20_000)
    if (!isSoon) {
      expect(bench.effects.record(SHARD).parked['a/0']).toMatchObject({ isAsked: false, failures: 2 })
      expect([lane.condition, bench.done]).toEqual(['halted', []])
      await bench.operate('resume')
    } else await resumed
    await bench.until(() => bench.done.includes('a/3/1'))
    expect(lane.condition).toBe('running')
  },
)

test('once somebody else has taken a step of its record, nothing more of what is tried again begins before it begins anew', async () => {
  const bench = new LaneBench({ retries: 0, handlerTimeoutMs: 1e9 })
  bench.poison.add('a/0/1')
  bench.add('a/0', 'a/0')
  bench.open()
  await parked(bench)
  await bench.pass(2_000)
  bench.poison.clear()
  const [first, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  bench.onHandle = ({ id }) => (id === 'a/0/1' ? first.promise : undefined)
  await bench.operate('retry', { stream: 'a/0' })
  await bench.until(() => bench.begun.length === 2)
  const query = bench.effects.query.bind(bench.effects)
  bench.effects.query = async (question) => {
    const answer = await query(question)
    if (question.name === 'state') await late.promise
    return answer
  }
  const { place, turn } = bench.effects.record(SHARD)
  const event = { stream: 'a/9', version: 1, type: 'Done', position: 1, reason: 'no', at: 0 }
  await bench.operate('park', { from: place, turn, event })
  // Its next step is refused.
  bench.add('a/3')
  await bench.pass(2_000)
  first.resolve()
  await bench.pass(500)
  expect(bench.begun).toEqual(['a/0/1', 'a/0/1', 'a/3/1'])
  late.resolve()
  await bench.until(() => bench.done.includes('a/0/2'))
})

test('a lane takes no step once it is closed, though what it has asked of the log is answered then', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const lane = bench.open()
  await parked(bench)
  const answer = Promise.withResolvers<void>()
  bench.row.onReadAgain = () => answer.promise
  await bench.operate('skip', { stream: 'a/0', version: 1, reason: 'by hand' })
  await bench.until(() => bench.row.readings === 1)
  await bench.during(lane.close(300))
  const steps = [...bench.effects.steps]
  answer.resolve()
  await bench.pass(1_000)
  expect(bench.effects.steps).toEqual(steps)
})

test('who closes a lane does not wait for what is to be tried again later, as what it needs is away', async () => {
  const bench = new LaneBench({ retries: 0 })
  bench.poison.add('a/0/1')
  bench.add('a/0')
  const lane = bench.open()
  await parked(bench)
  bench.poison.clear()
  const ids = { commandId: '1', correlationId: '', causationId: '' }
  bench.onHandle = async (_event, { effects }) =>
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: 0 })
  bench.effects.onSent = async () => await Promise.reject(away())
  await bench.operate('retry', { stream: 'a/0' })
  await bench.pass(30_000)
  const since = bench.clock.monotonic()
  await bench.during(lane.close(20_000))
  expect(bench.clock.monotonic() - since).toBeLessThan(1_000)
})
