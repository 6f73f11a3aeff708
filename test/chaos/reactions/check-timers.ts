/**
 * The timers that reactors have set, one at a time for each account. What is recorded of one is walked through: each that was
 * set is fired, cancelled or replaced, once; none fires before its time; and what has fired had its command take effect once.
 */
import { checkCause, checkRow, type AccountFacts, type Cause, type Fact } from './facts.ts'
import { timerOf } from './kinds.ts'

export interface TimerCounts {
  timersSet: number
  timersFired: number
  timersCancelled: number
  timersReplaced: number
}

interface Pending {
  readonly token: string
  readonly at: number
  readonly cause: Cause
}

interface Fired {
  readonly fact: Fact
  readonly of: number
}

export function checkTimers(
  account: AccountFacts,
  counts: TimerCounts & { reactions: number; commands: number },
): string[] {
  const { id, events, settled, of } = account
  const walk = new Walk(account)
  for (const fact of of(timerOf(id))) walk.step(fact)
  const notes = of(`tally/reminders-${id}`)
  const what = `timers of account ${id}`
  const missing = (timer: 'set' | 'cancelled', done: readonly number[]): number | undefined =>
    events
      .filter(({ kinds }) => kinds.timer === timer)
      .map(({ version }) => version)
      .find((version, i) => (done[i] ?? Number.POSITIVE_INFINITY) !== version && version <= settled)
  const notSet = missing('set', walk.set)
  const notCancelled = missing('cancelled', walk.cancelling)
  const { pending, fired } = walk
  counts.timersSet += walk.set.length
  counts.timersFired += fired.length
  counts.timersCancelled += walk.cancelled
  counts.timersReplaced += walk.replaced
  counts.reactions += walk.set.length + walk.cancelling.length
  counts.commands += notes.length
  return [
    ...walk.problems.map((problem) => `${what}: ${problem}`),
    ...(notSet === undefined ? [] : [`${what}: the one of version ${notSet} was not set`]),
    ...(notCancelled === undefined ? [] : [`${what}: version ${notCancelled} has cancelled nothing`]),
    ...(pending === undefined || pending.cause.version > settled
      ? []
      : [`${what}: the one of version ${pending.cause.version} has not fired`]),
    ...checkRow(what, { notes, of: fired.map((each) => each.of), settled }),
    ...notes.flatMap((note, i) => checkCause(note, fired[i]?.fact)),
  ]
}

class Walk {
  readonly problems: string[] = []
  /** The versions of those that were set, in order. */
  readonly set: number[] = []
  readonly fired: Fired[] = []
  /** The versions that cancel whatever is pending, in order; so many have found something. */
  readonly cancelling: number[] = []
  pending: Pending | undefined
  cancelled = 0
  replaced = 0
  readonly #account: AccountFacts
  readonly #causes: ReadonlyMap<string, Cause>

  constructor(account: AccountFacts) {
    this.#account = account
    this.#causes = new Map(account.events.map((event) => [event.id, event]))
  }

  step(fact: Fact): void {
    const { token, at } = fact.data as { readonly token?: string; readonly at: number }
    if (fact.type === 'TimerSet') return this.#set(fact, { token: token!, at })
    const { pending } = this
    this.pending = undefined
    if (pending?.token !== token)
      return this.#wrong(fact, `ends ${token ?? 'none'}, and ${pending?.token ?? 'none'} is pending`)
    if (fact.type === 'TimerCancelled') return this.#cancel(fact, pending)
    if (pending === undefined) return this.#wrong(fact, 'is of none')
    const { apartMs } = this.#account
    if (fact.time < pending.at - apartMs) this.#wrong(fact, `is ${pending.at - fact.time} ms before its time`)
    this.fired.push({ fact, of: pending.cause.version })
  }

  #set(fact: Fact, { token, at }: { readonly token: string; readonly at: number }): void {
    const cause = this.#causeOf(fact, 'set')
    if (cause === undefined) return
    if (cause.version <= (this.set.at(-1) ?? 0)) this.#wrong(fact, `was set for version ${cause.version} already`)
    const due = cause.time + cause.kinds.timerMs
    if (at !== due) this.#wrong(fact, `is due at ${at}, and was set for ${due}`)
    const replaced = this.pending
    if (replaced !== undefined) {
      this.replaced += 1
      const lost = this.#firstCancel(replaced, cause.version)
      if (lost !== undefined) this.#wrong(fact, `replaces one that version ${lost.version} has cancelled`)
    }
    this.set.push(cause.version)
    this.pending = { token, at, cause }
  }

  #cancel(fact: Fact, pending: Pending | undefined): void {
    const cause = this.#causeOf(fact, 'cancelled')
    if (cause !== undefined) this.cancelling.push(cause.version)
    if (pending === undefined) return
    this.cancelled += 1
    const first = this.#firstCancel(pending, Number.POSITIVE_INFINITY)
    if (cause !== undefined && first !== cause)
      this.#wrong(fact, `is of version ${cause.version}, and the first is ${first?.version}`)
  }

  #firstCancel({ cause }: Pending, before: number): Cause | undefined {
    return this.#account.events.find(
      ({ version, kinds }) => version > cause.version && version < before && kinds.timer === 'cancelled',
    )
  }

  #causeOf(fact: Fact, timer: Cause['kinds']['timer']): Cause | undefined {
    const cause = this.#causes.get(fact.causationId)
    if (cause?.kinds.timer === timer) {
      this.problems.push(...checkCause(fact, cause))
      return cause
    }
    this.#wrong(fact, `came of ${fact.causationId}, which asks for no such thing`)
  }

  #wrong({ type, version }: Fact, problem: string): void {
    this.problems.push(`${type}, version ${version}, ${problem}`)
  }
}
