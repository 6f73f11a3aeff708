/**
 * That what one node sends to one aggregate takes effect in the order of sending, whoever owns it meanwhile and however
 * often the router sends it again: commands by the versions that the log gives them, told or not; and what shows a state
 * shows what was sent before it. It may show what was sent after it, too, as it is asked anew where an answer was lost.
 * So may a command that was rejected and is accepted later: a rejection leaves nothing behind by which the next owner could
 * know of it.
 */
import type { LoggedStreams } from '../../checker/history.ts'
import type { Attempt } from '../history.ts'

interface Item {
  readonly text: string
  /** Of a command's last event, or that was shown. */
  readonly version: number
  readonly isShown: boolean
  /** It was taken up in one of these, by number of sending. */
  readonly first: number
  readonly last: number
}

/** What is wrong, in words. */
export function brokenOrder(
  attempts: readonly Attempt[],
  log: LoggedStreams,
  /** Commands that an owner has rejected, whatever another decided later. */
  declined: ReadonlySet<number>,
): string[] {
  const versions = versionsOf(log)
  const senders = new Map<object, Map<string, Item[]>>()
  for (const tries of Map.groupBy(attempts, ({ by }) => by).values()) {
    const able = tries.filter(({ sent, outcome }) => sent !== undefined && outcome.kind !== 'none')
    const [first] = able
    // One that was tried through several nodes has no place in the order of any of them.
    if (first === undefined || !first.isQueued || able.some(({ via }) => via !== first.via)) continue
    const logged = versions.get(first.by)
    const version = logged ?? shownTo(able)
    if (version === undefined || (logged !== undefined && declined.has(first.by))) continue
    const sent = able.map((each) => each.sent!)
    const text = `${first.stream}: command or query ${first.by}`
    const ofSender = senders.get(first.via) ?? new Map<string, Item[]>()
    const items = ofSender.get(first.stream) ?? []
    items.push({ text, version, isShown: logged === undefined, first: Math.min(...sent), last: Math.max(...sent) })
    ofSender.set(first.stream, items)
    senders.set(first.via, ofSender)
  }
  return [...senders.values()].flatMap((streams) => [...streams.values()].flatMap(outOfOrder))
}

function versionsOf(log: LoggedStreams): ReadonlyMap<number, number> {
  const versions = new Map<number, number>()
  for (const events of log.values())
    for (const { commandId, version } of events) versions.set(Number(commandId), version)
  return versions
}

/** The version of the state that was shown. */
function shownTo(tries: readonly Attempt[]): number | undefined {
  for (const { outcome } of tries) {
    if (outcome.kind === 'read' || outcome.kind === 'rejected') return outcome.seen.count
    if (outcome.kind === 'accepted') return outcome.version
  }
  return undefined
}

function outOfOrder(items: readonly Item[]): string[] {
  const problems: string[] = []
  const byLast = items.filter(({ isShown }) => !isShown).toSorted((a, b) => a.last - b.last)
  let before = 0
  let highest: Item | undefined
  for (const item of items.toSorted((a, b) => a.first - b.first)) {
    for (; before < byLast.length && byLast[before]!.last < item.first; before += 1) {
      if (byLast[before]!.version > (highest?.version ?? 0)) highest = byLast[before]
    }
    if (highest !== undefined && item.version < highest.version) {
      problems.push(`${item.text} is at ${item.version}, and was sent after ${highest.text}, at ${highest.version}`)
    }
  }
  return problems
}
