import fc from 'fast-check'
import { expect, test } from 'vitest'
import { check } from './check.ts'
import type { CommandOutcome, Entry, LoggedEvent } from './history.ts'

/**
 * An operation as it was made up. Nothing says that its place is one that it can have had: about half of the histories
 * are right.
 */
interface Made {
  readonly isRead: boolean
  readonly place: number
  readonly invokedAt: number
  readonly returnedAt: number
  readonly outcome: 'told' | 'unknown'
}

const made: fc.Arbitrary<Made> = fc
  .record({
    isRead: fc.boolean(),
    place: fc.nat(4),
    at: fc.nat(20),
    lasts: fc.integer({ min: 1, max: 12 }),
    outcome: fc.constantFrom('told', 'unknown'),
  })
  .map(({ isRead, place, at, lasts, outcome }) => ({
    isRead,
    place,
    // No two times are equal, so that the order of any two is known.
    invokedAt: 10 * at,
    returnedAt: 10 * (at + lasts) + 5,
    outcome,
  }))

/** Commands in the order of their places make the log; reads see one of its versions. */
function historyOf(operations: readonly Made[]): { history: Entry[]; log: LoggedEvent[] } {
  const writes = operations.filter(({ isRead }) => !isRead).toSorted((a, b) => a.place - b.place)
  const log = writes.map((_, i) => ({
    version: i + 1,
    commandId: `c${i + 1}`,
    position: i + 1,
    shard: 0,
    seq: i + 1,
    digest: i + 1,
  }))
  const commands = writes.map(({ invokedAt, returnedAt, outcome }, i): Entry => {
    const accepted: CommandOutcome = { kind: 'accepted', version: i + 1, position: i + 1 }
    const times = { invokedAt, returnedAt }
    const what = { kind: 'command', stream: 's', commandId: `c${i + 1}`, events: 1 } as const
    return { ...what, ...times, outcome: outcome === 'told' ? accepted : { kind: 'unknown' } }
  })
  const reads = operations
    .filter(({ isRead }) => isRead)
    .map(({ place, invokedAt, returnedAt }): Entry => {
      const version = Math.min(place, log.length)
      return { kind: 'read', stream: 's', invokedAt, returnedAt, seen: { version } }
    })
  return { history: [...commands, ...reads], log }
}

/** Tries every order, as slowly as that takes: whether one exists that keeps real time and shows every read its version. */
function isLinearizable(history: readonly Entry[]): boolean {
  const deadEnds = new Set<string>()
  const endOf = (entry: Entry): number =>
    entry.kind === 'command' && entry.outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : entry.returnedAt
  const search = (left: readonly Entry[], version: number): boolean => {
    if (left.length === 0) return true
    const key = left.map((entry) => history.indexOf(entry)).join()
    if (deadEnds.has(key)) return false
    const firstReturn = Math.min(...left.map(endOf))
    for (const next of left) {
      if (next.invokedAt > firstReturn) continue
      const isWrite = next.kind === 'command'
      if (isWrite ? next.commandId !== `c${version + 1}` : next.seen.version !== version) continue
      const rest = left.filter((entry) => entry !== next)
      if (search(rest, isWrite ? version + 1 : version)) return true
    }
    deadEnds.add(key)
    return false
  }
  return search(history, 0)
}

test('the sweep finds what a search through all orders finds, and nothing else', () => {
  const verdicts = { right: 0, wrong: 0 }
  fc.assert(
    fc.property(fc.array(made, { maxLength: 9 }), (operations) => {
      const { history, log } = historyOf(operations)
      const isRight = isLinearizable(history)
      verdicts[isRight ? 'right' : 'wrong'] += 1
      expect(check(history, new Map([['s', log]])).length === 0).toBe(isRight)
    }),
    { numRuns: 2000 },
  )
  expect(Math.min(verdicts.right, verdicts.wrong)).toBeGreaterThan(100)
})
