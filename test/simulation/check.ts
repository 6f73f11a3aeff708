/**
 * Holds what clients saw against the log, from outside, in time linear after sorting. It knows what an event store
 * promises, and nothing of how Penhold does it. Returns what is wrong, in words; nothing where all is well.
 *
 * Since the log gives each stream's order, linearizability needs no search: a command stands at its version, a read of
 * version v between v and v + 1, and no operation may begin after another has ended that stands behind it.
 */
import type { Attempt, LoggedEvent } from './history.ts'
import { foldAll, type View } from './bank.ts'

export interface Story {
  readonly attempts: readonly Attempt[]
  /** By stream, in the order of versions. */
  readonly log: ReadonlyMap<string, readonly LoggedEvent[]>
}

export function violations(story: Story): string[] {
  return [
    ...checkLog(story),
    ...checkCommands(story),
    ...checkReads(story),
    ...checkOrder(story),
    ...checkCauses(story),
  ]
}

/** I4: versions and seqs count 1, 2, 3 …; positions increase (I6 within a stream). */
function* checkLog({ log }: Story): Generator<string> {
  const shards = new Map<number, number[]>()
  for (const [stream, events] of log) {
    for (const [i, { version, position, shard, seq }] of events.entries()) {
      if (version !== i + 1) yield `${stream}: version ${version} stands where ${i + 1} belongs (I4)`
      if (i > 0 && position <= events[i - 1]!.position)
        yield `${stream}: position of version ${version} does not increase`
      shards.set(shard, [...(shards.get(shard) ?? []), seq])
    }
  }
  for (const [shard, seqs] of shards) {
    const sorted = seqs.toSorted((a, b) => a - b)
    if (sorted.some((seq, i) => seq !== i + 1)) yield `shard ${shard}: seqs are ${sorted.join(' ')} (I4)`
  }
}

/** I2, I5, I7: what was acknowledged stands there once, as it was told; what failed for certain does not. */
function* checkCommands({ attempts, log }: Story): Generator<string> {
  const logged = grouped([...log.values()].flat(), ({ by }) => by)
  for (const [by, tries] of grouped(attempts, (attempt) => attempt.by)) {
    const { stream, events: due } = tries[0]!
    if (due === 0) continue
    const events = logged.get(by) ?? []
    const name = `command ${by} on ${stream}`
    if (events.length > 0 && events.length !== due) {
      yield `${name}: ${events.length} of its events stand in the log, and ${due} belong there (I5)`
    }
    if (events.some(({ version }, i) => version !== events[0]!.version + i))
      yield `${name}: its events are not together`
    const last = events.at(-1)
    for (const { outcome } of tries) {
      if (outcome.kind === 'accepted') {
        if (last === undefined) yield `${name}: was acknowledged and is not in the log (I2)`
        else if (last.version !== outcome.version || last.position !== outcome.position) {
          yield `${name}: was told version ${outcome.version}, stands at ${last.version}`
        }
      }
      if (outcome.kind === 'rejected' && last !== undefined) yield `${name}: was rejected and took effect (I3)`
    }
    if (tries.every(({ outcome }) => outcome.kind === 'none') && last !== undefined) {
      yield `${name}: failed with outcome none and took effect (I7)`
    }
  }
}

/** I3: every state that was seen, by a query or in a rejection, is that of a version in the log. */
function* checkReads({ attempts, log }: Story): Generator<string> {
  const views = new Map<string, readonly View[]>()
  for (const { outcome, stream } of attempts) {
    if (outcome.kind !== 'read' && outcome.kind !== 'rejected') continue
    if (!views.has(stream)) views.set(stream, foldAll(log.get(stream) ?? []))
    const { seen } = outcome
    const view = views.get(stream)![seen.count]
    if (view === undefined) yield `${stream}: a read saw version ${seen.count}, which is not in the log (I3)`
    else if (view.hash !== seen.hash || view.balance !== seen.balance) {
      yield `${stream}: a read saw a version ${seen.count} that is not the log's (I3)`
    }
  }
}

/** Real-time order: what began after something had ended stands behind it. */
function* checkOrder({ attempts, log }: Story): Generator<string> {
  const versions = new Map<number, number>()
  for (const { by, version } of [...log.values()].flat()) versions.set(by, version)
  for (const [stream, own] of grouped(attempts, (attempt) => attempt.stream)) {
    const marks: { at: number; isReturn: boolean; place: number }[] = []
    const begun = new Set<number>()
    for (const { outcome, by, events, invokedMs, returnedMs } of own) {
      const shown = versionShown(outcome, events)
      if (shown !== undefined) {
        const place = shown + 0.5
        marks.push({ at: invokedMs, isReturn: false, place }, { at: returnedMs, isReturn: true, place })
      } else if (events > 0 && versions.has(by)) {
        const place = versions.get(by)!
        // A command takes effect after its first attempt began, and before the first that was acknowledged ended.
        if (!begun.has(by)) marks.push({ at: invokedMs, isReturn: false, place })
        if (outcome.kind === 'accepted') marks.push({ at: returnedMs, isReturn: true, place })
        begun.add(by)
      }
    }
    yield* outOfOrder(marks).map(
      ([place, max]) => `${stream}: ${place} began after ${max} had been told (real-time order)`,
    )
  }
}

interface Mark {
  readonly at: number
  readonly isReturn: boolean
  readonly place: number
}

/** What began at a place before the greatest that had ended by then. */
function outOfOrder(marks: Mark[]): [place: number, max: number][] {
  const found: [number, number][] = []
  // At one moment nothing has ended yet of what begins there.
  marks.sort((a, b) => a.at - b.at || Number(a.isReturn) - Number(b.isReturn))
  let max = 0
  for (const { isReturn, place } of marks) {
    if (isReturn) max = Math.max(max, place)
    else if (place < max) found.push([place, max])
  }
  return found
}

/** The version that an answer shows without adding to it. */
function versionShown(outcome: Attempt['outcome'], events: number): number | undefined {
  if (outcome.kind === 'read' || outcome.kind === 'rejected') return outcome.seen.count
  return outcome.kind === 'accepted' && events === 0 ? outcome.version : undefined
}

/** I6: what was sent through a node after a reply had come through it has a greater position, whichever shards they are in. */
function* checkCauses({ attempts }: Story): Generator<string> {
  const marks = new Map<object, Mark[]>()
  for (const tries of grouped(attempts, ({ by }) => by).values()) {
    const [first] = tries
    // A command that was tried before may stand where its first attempt put it.
    if (tries.length !== 1 || first?.outcome.kind !== 'accepted' || first.events === 0) continue
    const { via, invokedMs, returnedMs, outcome } = first
    const place = outcome.position
    const own = [
      { at: invokedMs, isReturn: false, place },
      { at: returnedMs, isReturn: true, place },
    ]
    marks.set(via, [...(marks.get(via) ?? []), ...own])
  }
  for (const own of marks.values()) {
    yield* outOfOrder(own).map(([place, max]) => `position ${place} began after ${max} had been told (I6)`)
  }
}

function grouped<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}
