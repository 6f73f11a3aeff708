import { expect, test } from 'vitest'
import { check, checkShards } from './check.ts'
import type { CommandEntry, CommandOutcome, Entry, LoggedEvent } from './history.ts'

/** Events of the commands a, b, b, c …: one letter each, and positions ten times the version. */
function logOf(commands: string): Map<string, LoggedEvent[]> {
  const events = commands.split('').map((commandId, i) => ({
    version: i + 1,
    commandId,
    position: 10 * (i + 1),
    shard: 0,
    seq: i + 1,
    digest: commands.slice(0, i + 1),
  }))
  return new Map([['account/1', events]])
}

function command(
  commandId: string,
  [invokedAt, returnedAt]: [number, number],
  outcome: CommandOutcome,
  events = 1,
): CommandEntry {
  return { kind: 'command', stream: 'account/1', commandId, events, invokedAt, returnedAt, outcome }
}

const told = (version: number): CommandOutcome => ({ kind: 'accepted', version, position: 10 * version })
const none: CommandOutcome = { kind: 'none' }
const unknown: CommandOutcome = { kind: 'unknown' }
const declined = (version: number, digest: string): CommandOutcome => ({ kind: 'declined', seen: { version, digest } })

function read([invokedAt, returnedAt]: [number, number], digest: string, kind: 'read' | 'past' = 'read'): Entry {
  return { kind, stream: 'account/1', invokedAt, returnedAt, seen: { version: digest.length, digest } }
}

function kinds(history: readonly Entry[], log: string | Map<string, LoggedEvent[]>): string[] {
  return check(history, typeof log === 'string' ? logOf(log) : log).map(({ kind }) => kind)
}

test('nothing is found where nothing is wrong', () => {
  const history = [
    read([0, 1], ''),
    command('a', [0, 5], told(1)),
    command('a', [9, 10], told(1)),
    // Concurrent with the commands: either order is right.
    command('b', [2, 6], told(3), 2),
    read([3, 6], ''),
    read([4, 7], 'abb'),
    command('x', [7, 8], declined(3, 'abb')),
    // It did nothing at first, and took effect when it was sent again.
    command('c', [7, 8], none),
    command('c', [8, 9], unknown),
    command('c', [10, 12], told(4)),
    command('d', [9, Number.POSITIVE_INFINITY], unknown),
    command('e', [9, 10], unknown),
    command('f', [9, 10], none),
    read([20, 21], 'abbc'),
    read([22, 23], 'abbce'),
    read([30, 31], 'ab', 'past'),
    // Told again what it was told at first.
    command('x', [40, 41], declined(3, 'abb')),
  ]
  expect(kinds(history, 'abbce')).toEqual([])
  expect(checkShards(logOf('abbce'))).toEqual([])
  expect(kinds([], new Map())).toEqual([])
})

test.each([
  ['lost-acknowledgement', [command('a', [0, 1], told(1)), command('b', [2, 3], told(2))], 'a'],
  ['lost-acknowledgement', [command('a', [0, 1], told(1))], new Map()],
  ['duplicate-effect', [command('a', [0, 1], told(1)), command('b', [0, 1], told(2))], 'aba'],
  ['duplicate-effect', [command('a', [0, 1], told(2))], 'aa'],
  ['torn-command', [command('a', [0, 1], unknown, 2)], 'a'],
  ['never-sent', [], 'a'],
  ['definite-failure-took-effect', [command('a', [0, 1], none)], 'a'],
  ['definite-failure-took-effect', [command('a', [0, 1], none), command('a', [2, 3], declined(0, ''))], 'a'],
  ['wrong-version', [command('a', [0, 1], told(2)), command('b', [0, 1], told(2))], 'ab'],
  ['wrong-position', [{ ...command('a', [0, 1], { kind: 'accepted', version: 1, position: 9 }) } satisfies Entry], 'a'],
  // Told the first outcome by the first owner, decided again by the second.
  ['decided-again', [command('a', [0, 1], told(1)), command('a', [2, 3], declined(1, 'a'))], 'a'],
  ['stale-read', [command('a', [0, 1], told(1)), read([2, 3], '')], 'a'],
  ['stale-read', [command('a', [0, 9], told(1)), read([1, 2], 'a'), read([3, 4], '')], 'a'],
  ['stale-read', [command('a', [0, 1], told(1)), command('x', [2, 3], declined(0, ''))], 'a'],
  [
    'stale-read',
    [command('x', [0, 1], none), command('a', [2, 3], told(1)), command('x', [4, 5], declined(0, ''))],
    'a',
  ],
  ['order-broken', [command('a', [2, 3], told(1)), command('b', [0, 1], told(2))], 'ab'],
  // It was read as not there, although it had begun after another that was.
  ['order-broken', [command('a', [5, 6], unknown), read([2, 3], 'a')], 'a'],
  ['unknown-state', [command('a', [0, 1], told(1)), read([0, 1], 'x')], 'a'],
  ['unknown-state', [command('a', [0, 1], told(1)), read([0, 1], 'ab')], 'a'],
  ['unknown-state', [command('a', [0, 1], told(1)), read([0, 1], 'x', 'past')], 'a'],
  ['half-a-command-seen', [command('a', [0, 1], told(2), 2), read([0, 1], 'a')], 'aa'],
] satisfies [string, Entry[], string | Map<string, LoggedEvent[]>][])('%s is found', (kind, history, log) => {
  expect(kinds(history, log)).toEqual([kind])
})

test('gaps in the log are found, and positions that do not grow', () => {
  const [first, second, third] = logOf('abc').get('account/1')! as [LoggedEvent, LoggedEvent, LoggedEvent]
  const history = ['a', 'b', 'c'].map((id) => command(id, [0, 1], unknown))
  expect(kinds(history, new Map([['account/1', [first, third]]]))).toEqual(['version-gap'])
  expect(
    kinds(
      history,
      new Map([
        [
          'account/1',
          [
            { ...second, version: 1 },
            { ...first, version: 2 },
          ],
        ],
      ]),
    ),
  ).toEqual(['position-order'])
  const gap = checkShards(new Map([['account/1', [first, { ...second, seq: 3 }]]]))
  expect(gap).toMatchObject([{ kind: 'seq-gap', message: 'the event after seq 1 of shard 0 has seq 3' }])
  expect(checkShards(new Map([['account/1', [first, { ...second, seq: 1 }]]]))).toHaveLength(1)
  const other = { ...second, version: 1, position: first.position }
  expect(
    checkShards(
      new Map([
        ['account/1', [first]],
        ['account/2', [other]],
      ]),
    ),
  ).toMatchObject([{ kind: 'position-order', message: 'seq 2 is at 10, the one before at 10' }])
})

test('streams are checked each by itself', () => {
  const other = { ...command('a', [5, 6], told(1)), stream: 'account/2' }
  const log = new Map([...logOf('b'), ['account/2', logOf('a').get('account/1')!]])
  expect(kinds([other, command('b', [0, 1], told(1))], log)).toEqual([])
})

test('a second writer of an epoch, and a writer of an epoch that is over, are seen', () => {
  const row = (...owners: readonly (readonly [epoch: number, journal: number])[]): Map<string, LoggedEvent[]> => {
    const events = logOf('a'.repeat(owners.length)).get('account/1')!
    const owned = events.map((event, i) => ({ ...event, owner: { epoch: owners[i]![0], journal: owners[i]![1] } }))
    return new Map([['account/1', owned]])
  }
  expect(checkShards(row([1, 7], [1, 7], [2, 8], [4, 7]))).toEqual([])
  expect(checkShards(row([1, 7], [1, 8]))).toMatchObject([
    { kind: 'two-writers', message: 'seq 2 is of epoch 1 in journal 8, of which journal 7 has some' },
  ])
  expect(checkShards(row([2, 7], [1, 8], [2, 7]))).toMatchObject([
    { kind: 'two-writers', message: 'seq 2 is of epoch 1 in journal 8, after one of epoch 2' },
  ])
})
