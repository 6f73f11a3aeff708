/**
 * The processes: each that was begun was told its event once, knows the outcome of each command that it has sent, and has ended
 * as its event demands; and what it has sent took effect once.
 */
import { checkCause, type AccountFacts, type Cause, type Fact } from './facts.ts'
import { transferOf, type Fate } from './kinds.ts'

/** What an account's ledger has of a transfer, and which commands that took. */
const LEFT: Readonly<Record<Fate, { readonly events: string; readonly sent: string; readonly accepted: number }>> = {
  settled: { events: 'Reserved,Settled', sent: 'reserve,settle', accepted: 2 },
  released: { events: 'Reserved,Released', sent: 'reserve,release', accepted: 2 },
  refused: { events: 'Refused', sent: 'reserve,refuse', accepted: 1 },
}

interface Counts {
  reactions: number
  commands: number
  transfers: number
  timersSet: number
  timersFired: number
  timersCancelled: number
}

export function checkTransfers(account: AccountFacts, counts: Counts): string[] {
  const { id, events, of } = account
  const ledger = new Map(Map.groupBy(of(`ledger/${id}`), ({ data }) => (data as { transfer: string }).transfer))
  const problems: string[] = []
  for (const event of events) {
    if (event.kinds.transfer === undefined) continue
    const key = transferOf(id, event.version)
    const entries = ledger.get(key) ?? []
    ledger.delete(key)
    const facts = of(`transfer/${key}`)
    if (facts.length > 0) counts.transfers += 1
    count(facts, counts)
    counts.commands += entries.length
    const wrong = checkTransfer(account, event, { facts, entries })
    problems.push(...wrong.map((problem) => `transfer ${key}, to be ${event.kinds.transfer}: ${problem}`))
  }
  for (const key of ledger.keys())
    problems.push(`ledger of account ${id}: it has transfer ${key}, which nobody has begun`)
  return problems
}

function count(facts: readonly Fact[], counts: Counts): void {
  for (const { type } of facts) {
    if (type === '$told') counts.reactions += 1
    if (type === '$timerSet') counts.timersSet += 1
    if (type === '$timerFired') counts.timersFired += 1
    if (type === '$timerCancelled') counts.timersCancelled += 1
  }
}

function checkTransfer(
  account: AccountFacts,
  event: Cause,
  { facts, entries }: { readonly facts: readonly Fact[]; readonly entries: readonly Fact[] },
): string[] {
  const ofType = (type: string): readonly Fact[] => facts.filter((fact) => fact.type === type)
  const [told, sent, outcomes] = [ofType('$told'), ofType('$sent'), ofType('$outcome')]
  const isSettled = event.version <= account.settled
  const left = LEFT[event.kinds.transfer!]
  const problems = [
    ...told.flatMap((fact) => checkCause(fact, event)),
    ...checkTimer(facts, { apartMs: account.apartMs, isSettled }),
    ...checkOutcomes(sent, outcomes),
    ...checkEntries(entries, sent),
  ]
  const counts = { told: told.length, sent: sent.length, completed: ofType('$completed').length }
  const most = { told: 1, sent: 2, completed: 1 }
  for (const [what, number] of Object.entries(counts)) {
    if (number > most[what as keyof typeof most]) problems.push(`${what} ${number} times`)
    if (isSettled && number < most[what as keyof typeof most]) problems.push(`${what} only ${number} times`)
  }
  if (!isSettled) return problems
  const names = sent.map(({ data }) => (data as Numbered).name).join()
  if (names !== left.sent) problems.push(`it has sent ${names || 'nothing'}`)
  if (outcomes.length !== sent.length)
    problems.push(`${sent.length} commands were sent, and ${outcomes.length} have an outcome`)
  const types = entries.map(({ type }) => type).join()
  if (types !== left.events) problems.push(`the ledger has ${types || 'nothing'}`)
  const isFired = ofType('$timerFired').length > 0
  if (event.kinds.transfer === 'released' && !isFired) problems.push('it was released without its timer')
  return problems
}

interface Numbered {
  readonly n: number
  readonly name: string
  readonly kind?: string
}

/** Each command has one outcome, behind it. */
function checkOutcomes(sent: readonly Fact[], outcomes: readonly Fact[]): string[] {
  const seen = new Set<number>()
  return outcomes.flatMap((outcome) => {
    const { n } = outcome.data as Numbered
    const command = sent.find(({ data }) => (data as Numbered).n === n)
    if (command === undefined) return [`there is an outcome of command ${n}, which was not sent`]
    if (seen.has(n)) return [`command ${n} has two outcomes`]
    seen.add(n)
    return checkCause(outcome, command)
  })
}

/** What its commands came to: of each that was accepted one event, in their order. */
function checkEntries(entries: readonly Fact[], sent: readonly Fact[]): string[] {
  const causes = entries.map(({ causationId }) => sent.findIndex(({ id }) => id === causationId))
  if (causes.includes(-1)) return ['the ledger has something of it that it has not sent']
  if (causes.some((cause, i) => cause <= (causes[i - 1] ?? -1))) return ['a command took effect twice, or out of order']
  return entries.flatMap((entry, i) => checkCause(entry, sent[causes[i]!]))
}

/** One timer, that is fired or cancelled, once, and fires in its time. */
function checkTimer(
  facts: readonly Fact[],
  { apartMs, isSettled }: { readonly apartMs: number; readonly isSettled: boolean },
): string[] {
  const [set, ...others] = facts.filter(({ type }) => type === '$timerSet')
  const ends = facts.filter(({ type }) => type === '$timerFired' || type === '$timerCancelled')
  if (others.length > 0) return ['its timer was set twice']
  if (ends.length > (set === undefined ? 0 : 1)) return [`its timer has ended ${ends.length} times`]
  if (isSettled && ends.length === 0) return ['its timer has neither fired nor been cancelled']
  const [fired] = ends.filter(({ type }) => type === '$timerFired')
  if (set === undefined || fired === undefined) return []
  const earlyMs = (set.data as { readonly at: number }).at - fired.time
  return [
    ...(earlyMs > apartMs ? [`its timer has fired ${earlyMs} ms before its time`] : []),
    ...checkCause(fired, set),
  ]
}
