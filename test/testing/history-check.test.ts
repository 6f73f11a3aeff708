import { describe, expect, test } from 'vitest'
import type { Request } from '../../src/testing/decision.ts'
import type { Telling } from '../../src/testing/decider-run.ts'
import { checkHistories, type LastLook, type Reply, type Sent } from '../../src/testing/history-check.ts'
import type { LoggedEvent } from '../../src/testing/machine.ts'
import { Tally } from '../../src/testing/tally.ts'
import { Transcript } from '../../src/testing/transcript.ts'
import type { Watched } from '../../src/testing/watched.ts'
import { Account } from '../account.ts'

const telling: Telling = {
  aggregate: Account,
  invariants: { 'never above 100': ({ balance }: { balance: number }) => balance <= 100 },
  story: { snapshotEvery: 1, steps: [], seed: 1 },
  transcript: new Transcript(),
  tally: new Tally(Account, []),
}

const deposited = (amount: number) => ({ type: 'MoneyDeposited', data: { amount } })
const logged = (command: number, version: number, amount: number): LoggedEvent => ({
  ...deposited(amount),
  version,
  commandId: `id-${command}`,
})
const accepted = (version: number, ...amounts: number[]): Reply => ({
  kind: 'accepted',
  version,
  events: amounts.map(deposited),
})
const REJECTED: Reply = { kind: 'rejected', code: 'insufficient-funds', details: undefined }

function sent(number: number, replies: readonly Reply[], lost = 0): Sent {
  const question = { id: 'a', name: 'deposit', payload: {}, metadata: {}, commandId: `id-${number}`, isFirst: true }
  return { number, question, replies: [...replies], tries: 1, lost }
}

interface Change {
  readonly events?: readonly LoggedEvent[]
  readonly sent?: readonly Sent[]
  readonly look?: Partial<LastLook>
  readonly decisions?: ReadonlyMap<string, Watched>
}

const STATES = [0, 5, 12].map((balance) => ({ opened: false, balance }))

/** Checks a history in which two deposits took effect, with something changed. */
function check({ events, sent: commands, look, decisions = new Map() }: Change = {}): void {
  checkHistories(telling, {
    histories: new Map([['a', events ?? [logged(1, 1, 5), logged(2, 2, 7)]]]),
    looks: new Map([['a', { answers: new Map([['balance', 12]]), states: STATES, ...look }]]),
    sent: commands ?? [sent(1, [accepted(1, 5)]), sent(2, [accepted(2, 7)])],
    decisions,
  })
}

function watched(amount: number, balance: number): Watched {
  const request: Request = {
    name: 'deposit',
    payload: { amount },
    id: 'a',
    commandId: 'id-2',
    metadata: {},
    now: 0,
    draws: () => ({ newId: () => '', random: () => 0 }),
  }
  return { state: { opened: false, balance }, request }
}

test('a good history passes', () => {
  check()
  check({ decisions: new Map([['id-2', watched(7, 5)]]) })
  check({ sent: [sent(1, [accepted(1, 5), accepted(1, 5)], 1), sent(2, [accepted(2, 7)])] })
  check({ sent: [sent(1, [accepted(1, 5)]), sent(2, [REJECTED, accepted(2, 7)])] })
  check({ sent: [sent(1, [accepted(1, 5)]), sent(2, [accepted(2, 7)]), sent(3, [REJECTED]), sent(4, [accepted(0)])] })
})

describe('a bad history is told:', () => {
  test.each<[string, Change, RegExp]>([
    ['an acknowledged command is gone', { events: [logged(2, 1, 7)] }, /#1 was acknowledged, and the log has nothing/],
    [
      'a command took effect twice',
      { events: [logged(1, 1, 5), logged(1, 2, 5), logged(2, 3, 7)] },
      /#1 was acknowledged, and the log has MoneyDeposited .*, MoneyDeposited/,
    ],
    ['other events than were told', { events: [logged(1, 1, 6), logged(2, 2, 7)] }, /#1 was acknowledged, and/],
    [
      'another version than was told',
      { events: [logged(2, 1, 7), logged(1, 2, 5)] },
      /#1 does not stand at the version/,
    ],
    ['a gap', { events: [logged(1, 1, 5), logged(2, 3, 7)] }, /the versions of a do not count .*: 1, 3/],
    [
      'events of one command apart',
      {
        events: [logged(1, 1, 2), logged(2, 2, 7), logged(1, 3, 3)],
        sent: [sent(1, [accepted(3, 2, 3)]), sent(2, [accepted(2, 7)])],
      },
      /the events of #1 do not stand together/,
    ],
    [
      'a rejected command took effect',
      { sent: [sent(1, [REJECTED]), sent(2, [accepted(2, 7)])] },
      /#1 was not accepted/,
    ],
    [
      'one that took effect is rejected when it comes again',
      { sent: [sent(1, [accepted(1, 5), REJECTED]), sent(2, [accepted(2, 7)])] },
      /#1 took effect, but was told to have none/,
    ],
    [
      'a state from a snapshot that is not the replayed one',
      { look: { states: [...STATES.slice(0, 2), { opened: false, balance: 13 }] } },
      /at version 2 depends on whether it is read from a snapshot.*\n.*\.balance: 12 and 13/,
    ],
    [
      'a query of a wrong state',
      { look: { answers: new Map([['balance', 5]]) } },
      /the query 'balance' .*\n.*12 and 5/,
    ],
    [
      'a state that breaks an invariant',
      { events: [logged(1, 1, 5), logged(2, 2, 97)], sent: [] },
      /'never above 100' does not hold for account\/a at version 2/,
    ],
    [
      'a decision on another state',
      { decisions: new Map([['id-2', watched(7, 6)]]) },
      /#2 was decided on a state in memory/,
    ],
    ['a decision that is another one now', { decisions: new Map([['id-2', watched(8, 5)]]) }, /'deposit' is not pure/],
  ])('%s', (_what, change, problem) => {
    expect(() => check(change)).toThrow(problem)
  })
})
