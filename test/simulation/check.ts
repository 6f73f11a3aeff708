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
  /** How many events each command makes where it takes effect. */
  readonly eventsOf: (operation: number) => number
}

export function violations(story: Story): string[] {
  return [...checkLog(story), ...checkCommands(story), ...checkReads(story), ...checkOrder(story), ...checkCauses(story)]
}

/** I4: versions and seqs count 1, 2, 3 …; positions increase (I6 within a stream). */
function* checkLog({ log }: Story): Generator<string> {
  const shards = new Map<number, number[]>()
  for (const [stream, events] of log) {
    for (const [i, { version, position, shard, seq }] of events.entries()) {
      if (version !== i + 1) yield `${stream}: version ${version} stands where ${i + 1} belongs (I4)`
      if (i > 0 && position <= events[i - 1]!.position) yield `${stream}: position of version ${version} does not increase`
      shards.set(shard, [...(shards.get(shard) ?? []), seq])
    }
  }
  for (const [shard, seqs] of shards) {
    const sorted = seqs.toSorted((a, b) => a - b)
    if (sorted.some((seq, i) => seq !== i + 1)) yield `shard ${shard}: seqs are ${sorted.join(' ')} (I4)`
  }
}

/** I2, I5, I7: what was acknowledged stands there once, as it was told; what failed for certain does not. */
function* checkCommands({ attempts, log, eventsOf }: Story): Generator<string> {
  const logged = new Map<string, LoggedEvent[]>()
  for (const event of [...log.values()].flat()) logged.set(event.commandId, [...(logged.get(event.commandId) ?? []), event])
  for (const tries of byOperation(attempts.filter(({ kind }) => kind === 'command')).values()) {
    const { commandId, operation, stream } = tries[0]!
    const events = logged.get(commandId) ?? []
    const name = `command ${operation} on ${stream}`
    if (events.length > 0 && events.length !== eventsOf(operation)) {
      yield `${name}: ${events.length} of its events stand in the log, and ${eventsOf(operation)} belong there (I5)`
    }
    if (events.some(({ version }, i) => version !== events[0]!.version + i)) yield `${name}: its events are not together`
    const last = events.at(-1)
    for (const { outcome } of tries) {
      if (outcome.kind === 'accepted' && eventsOf(operation) > 0) {
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

/** I3: every state that was seen is that of a version in the log. */
function* checkReads({ attempts, log }: Story): Generator<string> {
  const views = new Map<string, readonly View[]>()
  for (const { kind, outcome, stream } of attempts) {
    if (kind !== 'read' || outcome.kind !== 'read') continue
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
  const byStream = new Map<string, Attempt[]>()
  for (const attempt of attempts) byStream.set(attempt.stream, [...(byStream.get(attempt.stream) ?? []), attempt])
  const versions = new Map<string, number>()
  for (const event of [...log.values()].flat()) versions.set(event.commandId, event.version)
  for (const [stream, own] of byStream) {
    const marks: { at: number; isReturn: boolean; place: number; isWrite: boolean }[] = []
    const seen = new Set<number>()
    for (const { outcome, operation, commandId, invokedMs, returnedMs, kind } of own) {
      if (outcome.kind === 'read') {
        const place = outcome.seen.count + 0.5
        marks.push({ at: invokedMs, isReturn: false, place, isWrite: false })
        marks.push({ at: returnedMs, isReturn: true, place, isWrite: false })
      } else if (kind === 'command' && versions.has(commandId)) {
        const place = versions.get(commandId)!
        // A command takes effect after its first attempt began, and before the first that was acknowledged ended.
        if (!seen.has(operation)) marks.push({ at: invokedMs, isReturn: false, place, isWrite: true })
        if (outcome.kind === 'accepted') marks.push({ at: returnedMs, isReturn: true, place, isWrite: true })
      }
      seen.add(operation)
    }
    // At one moment nothing has ended yet that begins there.
    marks.sort((a, b) => a.at - b.at || Number(a.isReturn) - Number(b.isReturn))
    let max = 0
    for (const { isReturn, place } of marks) {
      if (isReturn) max = Math.max(max, place)
      else if (place < max) yield `${stream}: what stands at ${place} began after ${max} had been told (real-time order)`
    }
  }
}

/** I6: what was sent through a node after a reply had come through it has a greater position, whichever shards they are in. */
function* checkCauses({ attempts, eventsOf }: Story): Generator<string> {
  const byNode = new Map<object, { at: number; isReturn: boolean; position: number }[]>()
  for (const tries of byOperation(attempts).values()) {
    const [first] = tries
    // A command that was tried before may stand where its first attempt put it.
    if (tries.length !== 1 || first?.outcome.kind !== 'accepted' || eventsOf(first.operation) === 0) continue
    const marks = byNode.get(first.via) ?? []
    byNode.set(first.via, marks)
    const { position } = first.outcome
    marks.push({ at: first.invokedMs, isReturn: false, position }, { at: first.returnedMs, isReturn: true, position })
  }
  for (const marks of byNode.values()) {
    marks.sort((a, b) => a.at - b.at || Number(a.isReturn) - Number(b.isReturn))
    let max = 0
    for (const { isReturn, position } of marks) {
      if (isReturn) max = Math.max(max, position)
      else if (position <= max) yield `position ${position} began after ${max} had been told (I6)`
    }
  }
}

function byOperation(attempts: readonly Attempt[]): Map<number, Attempt[]> {
  const operations = new Map<number, Attempt[]>()
  for (const attempt of attempts) {
    operations.set(attempt.operation, [...(operations.get(attempt.operation) ?? []), attempt])
  }
  return operations
}
