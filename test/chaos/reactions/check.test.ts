import { expect, test } from 'vitest'
import { checkReactions, type FoundReactions } from './check.ts'
import type { Fact } from './facts.ts'
import { TICK_MS, TICKED, TICKS, timerOf } from './kinds.ts'

type Streams = Map<string, Fact[]>

let position = 0

/** One more event of a stream, because of another one. */
function add(
  log: Streams,
  stream: string,
  type: string,
  data?: unknown,
  cause?: Fact,
  changes: Partial<Fact> = {},
): Fact {
  const events = log.get(stream) ?? []
  log.set(stream, events)
  const version = events.length + 1
  position += 1
  const id = `${stream}@${version}`
  const own = { id, type, data, version, position, time: position, commandId: id, shard: 0, seq: position }
  const fact = { ...own, causationId: cause?.id ?? id, correlationId: cause?.correlationId ?? id, ...changes }
  events.push(fact)
  return fact
}

/** An event of the account with an id of this kind (kinds.ts). */
function move(log: Streams, kind: number, rest = 1): Fact {
  return add(log, 'account/a', 'Moved', undefined, undefined, {
    commandId: `c-${(rest * 32 + kind).toString(16).padStart(8, '0')}`,
  })
}

const [NOTED, PICKED, TRANSFER, SET, CANCELLED, PUBLISHED] = [0, 4, 6, 9, 12, 13]
const [SETTLED, RELEASED, REFUSED] = [0, 1, 2]

function transfer(log: Streams, fate: number): void {
  const event = move(log, TRANSFER, fate)
  const key = `a-${event.version}`
  const stream = `transfer/${key}`
  const step = (type: string, data?: unknown, cause?: Fact): Fact => add(log, stream, type, data, cause)
  const enter = (type: string, cause: Fact): Fact => add(log, 'ledger/a', type, { transfer: key }, cause)
  step('$told', undefined, event)
  const reserve = step('$sent', { n: 1, name: 'reserve' })
  const set = step('$timerSet', { id: 'due', at: position, token: '1' })
  if (fate !== REFUSED) enter('Reserved', reserve)
  step('$outcome', { n: 1, name: 'reserve' }, reserve)
  if (fate === RELEASED) step('$timerFired', { id: 'due', token: '1' }, set)
  else step('$timerCancelled', { id: 'due' })
  const names = {
    [SETTLED]: ['settle', 'Settled'],
    [RELEASED]: ['release', 'Released'],
    [REFUSED]: ['refuse', 'Refused'],
  }
  const [name, type] = names[fate]!
  const last = step('$sent', { n: 2, name })
  step('$completed')
  step('$outcome', { n: 2, name }, (enter(type!, last), last))
}

function timer(log: Streams, token: string): { readonly set: Fact; readonly fire: () => void } {
  const event = move(log, SET, 0)
  const set = add(log, timerOf('a'), 'TimerSet', { id: 'a', token, at: event.time }, event)
  return {
    set,
    fire() {
      const fired = add(log, timerOf('a'), 'TimerFired', { token }, set)
      add(log, 'tally/reminders-a', 'Noted', { of: event.version }, fired)
    },
  }
}

interface Found extends FoundReactions {
  readonly log: Streams
  readonly news: FoundReactions['news'][number][]
  settled: FoundReactions['settled']
}

/** All that there has to be, of some events of each kind. */
function whole(): Found {
  position = 0
  const log: Streams = new Map()
  for (const [kind, name] of [
    [NOTED, 'notes'],
    [PICKED, 'picky'],
  ] as const) {
    for (const event of [move(log, kind), move(log, kind)])
      add(log, `tally/${name}-a`, 'Noted', { of: event.version }, event)
  }
  for (const fate of [SETTLED, RELEASED, REFUSED]) transfer(log, fate)
  timer(log, 'fired').fire()
  timer(log, 'replaced')
  timer(log, 'cancelled')
  add(log, timerOf('a'), 'TimerCancelled', { token: 'cancelled' }, move(log, CANCELLED))
  add(log, timerOf('a'), 'TimerCancelled', {}, move(log, CANCELLED))
  const news = [move(log, PUBLISHED), move(log, PUBLISHED)].map((event) => ({
    id: `message-${event.version}`,
    stream: 'account/a',
    version: event.version,
    position: event.position,
    causationId: event.id,
  }))
  for (const of of [3, 7]) add(log, 'tally/orders-0', 'Noted', { of })
  for (const of of [1, 2, 3]) {
    const time = of * TICK_MS
    const run = add(log, TICKS, 'RunDue', { time }, undefined, { time: time + 40 })
    if (of < 3) add(log, TICKED, 'Noted', { of: time }, run)
  }
  const settled = new Map([['a', { version: log.get('account/a')!.length, apartMs: 0 }]])
  return {
    log,
    settled,
    news: [...news, news[0]!],
    orders: [{ given: [3, 7], settled: 7 }],
    ticks: { settled: 2 * TICK_MS, apartMs: 0 },
  }
}

test('what is whole has nothing wrong with it, and is counted', () => {
  const { problems, counts } = checkReactions(whole())
  expect(problems).toEqual([])
  expect(counts).toMatchObject({ transfers: 3, published: 2, duplicates: 1, orders: 2, timersReplaced: 1, ticks: 3 })
  expect(counts).toMatchObject({ timersSet: 6, timersFired: 2, timersCancelled: 3, reactions: 14, commands: 14 })
})

const remove = (stream: string, at: number) => (found: Found) => void found.log.get(stream)!.splice(at, 1)
const change = (stream: string, at: number, changes: Partial<Fact>) => (found: Found) => {
  const events = found.log.get(stream)!
  events.splice(at, 1, { ...events.at(at)!, ...changes })
}
const again = (stream: string, at: number) => (found: Found) => {
  const events = found.log.get(stream)!
  events.push({ ...events.at(at)!, version: events.length + 1 })
}
const swapNews = ({ news }: Found): void => void news.splice(0, 2, news[1]!, news[0]!)

test.each<[string, (found: Found) => void, string]>([
  ['a note is missing', remove('tally/notes-a', 1), 'notes of account a: 1 are not noted, the first is 2'],
  ['a note is there twice', again('tally/picky-a', 1), 'picky of account a: 4 is noted as number 3'],
  ['notes are out of order', remove('tally/notes-a', 0), '2 is noted as number 1, which is 1'],
  ['a note has another cause', change('tally/notes-a', 0, { causationId: 'x' }), 'names x as its cause'],
  ['a note has another correlation', change('tally/notes-a', 0, { correlationId: 'x' }), 'another correlation'],
  ['a note stands before its cause', change('tally/notes-a', 0, { position: 0 }), 'is at 0, and its cause at 1'],
  ['a timer was not set', remove(timerOf('a'), 3), 'the one of version 10 was not set'],
  ['a timer was set twice', again(timerOf('a'), 0), 'was set for version 8 already'],
  ['a timer is early', change(timerOf('a'), 1, { time: 0 }), 'ms before its time'],
  ['a timer is lost', (found) => void found.log.get(timerOf('a'))!.splice(4), 'the one of version 10 has not fired'],
  ['a timer fires twice', again(timerOf('a'), 1), 'ends fired, and none is pending'],
  ['what cancels a timer was left out', remove(timerOf('a'), 4), 'has cancelled nothing'],
  ['what finds no timer to cancel was left out', remove(timerOf('a'), -1), 'version 12 has cancelled nothing'],
  ['what is not set fires', change(timerOf('a'), -1, { type: 'TimerFired' }), 'is of none'],
  ['a timer is due at another time', change(timerOf('a'), 0, { data: { token: 'fired', at: 0 } }), 'and was set for'],
  ['what a timer was for is not done', remove('tally/reminders-a', 0), 'timers of account a: 1 are not noted'],
  ['what a timer was for is done twice', again('tally/reminders-a', 0), 'is noted as number 2, which is none'],
  ['a process was not told', remove('transfer/a-5', 0), 'told only 0 times'],
  ['a process was told twice', again('transfer/a-5', 0), 'told 2 times'],
  ['an outcome is missing', remove('transfer/a-5', -1), '2 commands were sent, and 1 have an outcome'],
  ['an outcome is there twice', again('transfer/a-5', -1), 'command 2 has two outcomes'],
  ['a process has not ended', remove('transfer/a-6', -2), 'completed only 0 times'],
  ['the timer of a process has not fired', remove('transfer/a-6', 4), 'neither fired nor been cancelled'],
  ['the timer of a process is early', change('transfer/a-6', 4, { time: 0 }), 'ms before its time'],
  ['the timer of a process fires twice', again('transfer/a-6', 4), 'its timer has ended 2 times'],
  ['what a process has sent is not done', remove('ledger/a', 1), 'the ledger has Reserved'],
  ['what a process has sent is done twice', again('ledger/a', 0), 'took effect twice, or out of order'],
  ['a process ends otherwise', change('ledger/a', 1, { type: 'Released' }), 'the ledger has Reserved,Released'],
  [
    'nobody has begun a process',
    change('ledger/a', 0, { data: { transfer: 'x' } }),
    'transfer x, which nobody has begun',
  ],
  ['a message is missing', ({ news }) => void news.splice(1, 1), 'published of account a: 1 are missing'],
  ['messages are out of order', swapNews, 'first comes where'],
  ['a message is of nothing', change('account/a', -2, { id: 'x' }), 'which is none of the log'],
  ['a message has two ids', ({ news }) => void (news[2] = { ...news[2]!, id: 'x' }), 'by two ids'],
  ['an order is missing', remove('tally/orders-0', 1), 'orders-0: 1 are not noted'],
  ['a run of a schedule is left out', remove(TICKS, 1), 'ticks: a run of 15000 comes behind that of 5000'],
  ['a run of a schedule is there twice', again(TICKS, 2), 'ticks: a run of 15000 comes behind that of 15000'],
  ['a run of a schedule is early', change(TICKS, 1, { time: 9_000 }), 'the run of 10000 is 1000 ms before its time'],
  ['what a schedule is for is not done', remove(TICKED, 1), 'ticks: 1 are not noted, the first is 10000'],
  ['what a schedule is for is done twice', again(TICKED, 1), 'ticks: 10000 is noted as number 3'],
  ['a schedule has not run', (found) => void found.log.delete(TICKS), 'ticks: there is no run of 10000'],
  ['an order is taken twice', again('tally/orders-0', 1), 'orders-0: 7 is noted as number 3'],
])('%s: that is noticed', (_what, breakIt, problem) => {
  const found = whole()
  breakIt(found)
  expect(checkReactions(found).problems.join('\n')).toContain(problem)
})

test('behind what is settled something may be missing yet, and nothing be there twice', () => {
  const settled = new Map([['a', { version: 0, apartMs: 0 }]])
  const found = { ...whole(), settled, orders: [{ given: [3, 7], settled: 0 }] }
  for (const stream of ['tally/notes-a', 'tally/orders-0', 'ledger/a', 'transfer/a-6', 'transfer/a-7', timerOf('a')]) {
    found.log.get(stream)!.pop()
  }
  found.news.splice(1)
  expect(checkReactions(found).problems).toEqual([])
  again('tally/notes-a', 0)(found)
  expect(checkReactions(found).problems).not.toEqual([])
})

test('where clocks were apart, a timer may seem early by so much', () => {
  const found = whole()
  change(timerOf('a'), 1, { time: 0 })(found)
  found.settled = new Map([['a', { version: 100, apartMs: 1_000 }]])
  expect(checkReactions(found).problems).toEqual([])
})
