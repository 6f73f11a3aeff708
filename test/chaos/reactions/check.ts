/**
 * What events had to set in motion, held against the log and against what was published: each consequence once, none too few,
 * in order for each aggregate, behind its cause. Where an account is not settled to its end, what its last events come to may
 * still be to come; but nothing may be there twice.
 */
import { boxOf, kindsOf, type Kinds } from './kinds.ts'
import { checkTicks, type FoundTicks } from './check-ticks.ts'
import { checkTimers, type TimerCounts } from './check-timers.ts'
import { checkTransfers } from './check-transfers.ts'
import { checkCause, checkRow, type AccountFacts, type Fact } from './facts.ts'

/** One entry of what was published. */
export interface Published {
  readonly id: string
  readonly stream: string
  readonly version: number
  readonly position: number
  readonly causationId: string
}

export interface FoundReactions {
  readonly log: ReadonlyMap<string, readonly Fact[]>
  /** By account, the version up to which all that follows is there; and how far apart any two clocks were meanwhile. */
  readonly settled: ReadonlyMap<string, { readonly version: number; readonly apartMs: number }>
  /** In the order in which they were published. */
  readonly news: readonly Published[]
  /** By box, the orders that were given, and up to which one all are taken. */
  readonly orders: readonly { readonly given: readonly number[]; readonly settled: number }[]
  readonly ticks: FoundTicks
}

export interface ReactionCounts extends TimerCounts {
  /** Events that have set something in motion, for each of those who reacted. */
  reactions: number
  /** Commands that have taken effect because of them. */
  commands: number
  transfers: number
  published: number
  /** Messages that came once more. */
  duplicates: number
  orders: number
  /** Runs of a schedule. */
  ticks: number
}

/** What is wrong, in words, and how much there is. */
export function checkReactions(found: FoundReactions): {
  readonly problems: readonly string[]
  readonly counts: ReactionCounts
} {
  const counts: ReactionCounts = {
    reactions: 0,
    commands: 0,
    transfers: 0,
    timersSet: 0,
    timersFired: 0,
    timersCancelled: 0,
    timersReplaced: 0,
    published: 0,
    duplicates: 0,
    orders: 0,
    ticks: 0,
  }
  const news = new Map(Map.groupBy(found.news, ({ stream }) => stream))
  const problems: string[] = []
  for (const account of accountsOf(found)) {
    const stream = `account/${account.id}`
    problems.push(
      ...checkNotes(account, { name: 'notes', isWanted: ({ isNoted }) => isNoted }, counts),
      ...checkNotes(account, { name: 'picky', isWanted: ({ isPicked }) => isPicked }, counts),
      ...checkTimers(account, counts),
      ...checkTransfers(account, counts),
      ...checkNews(account, news.get(stream) ?? [], counts),
    )
    news.delete(stream)
  }
  for (const stream of news.keys()) problems.push(`something was published of ${stream}, which nobody knows`)
  problems.push(...checkOrders(found, counts), ...checkTicks(found.log, found.ticks, counts))
  return { problems, counts }
}

function accountsOf({ log, settled }: FoundReactions): AccountFacts[] {
  return [...settled].map(([id, { version, apartMs }]) => ({
    id,
    events: (log.get(`account/${id}`) ?? []).map((event) => ({ ...event, kinds: kindsOf(event.commandId) })),
    settled: version,
    of: (stream) => log.get(stream) ?? [],
    apartMs,
  }))
}

/** The notes of a reactor: those of all events that it wants, each once, in their order. */
function checkNotes(
  { id, events, settled, of }: AccountFacts,
  { name, isWanted }: { readonly name: string; readonly isWanted: (kinds: Kinds) => boolean },
  counts: ReactionCounts,
): string[] {
  const wanted = events.filter(({ kinds }) => isWanted(kinds))
  const notes = of(`tally/${name}-${id}`)
  counts.reactions += notes.length
  counts.commands += notes.length
  return [
    ...checkRow(`${name} of account ${id}`, { notes, of: wanted.map(({ version }) => version), settled }),
    ...notes.flatMap((note, i) => checkCause(note, wanted[i])),
  ]
}

function checkNews(
  { id, events, settled }: AccountFacts,
  entries: readonly Published[],
  counts: ReactionCounts,
): string[] {
  const wanted = events.filter(({ kinds }) => kinds.isPublished)
  const problems: string[] = []
  const ids = new Map<number, string>()
  for (const entry of entries) {
    const { version } = entry
    const event = wanted.find((each) => each.version === version)
    if (event?.id !== entry.causationId || event.position !== entry.position) {
      problems.push(
        `published of account ${id}: version ${version}, event ${entry.causationId}, which is none of the log's`,
      )
    }
    if (ids.has(version)) {
      counts.duplicates += 1
      if (ids.get(version) !== entry.id) problems.push(`published of account ${id}: version ${version} by two ids`)
      continue
    }
    const next = wanted[ids.size]?.version
    if (version !== next)
      problems.push(`published of account ${id}: version ${version} first comes where ${next} should`)
    ids.set(version, entry.id)
  }
  const missing = wanted.filter(({ version }) => version <= settled && !ids.has(version))
  if (missing.length > 0) {
    problems.push(`published of account ${id}: ${missing.length} are missing, the first is ${missing[0]!.version}`)
  }
  counts.published += ids.size
  counts.reactions += ids.size
  return problems
}

function checkOrders({ log, orders }: FoundReactions, counts: ReactionCounts): string[] {
  return orders.flatMap(({ given, settled }, box) => {
    const notes = log.get(`tally/${boxOf(box)}`) ?? []
    counts.orders += notes.length
    counts.commands += notes.length
    return checkRow(boxOf(box), { notes, of: given, settled })
  })
}
