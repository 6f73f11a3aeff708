/**
 * What those can count on who send through one node: that
 *
 *   1. what was sent after something had been told stands behind that in the order of all events, whichever shards they are in (I6);
 *   2. what was sent to one aggregate takes effect in the order of sending, whoever owned it meanwhile.
 *
 * Of commands that were sent once, and took effect: one that was sent before, through whichever node, may stand where that
 * put it. And of 2 those that may be rejected know nothing: a rejection leaves nothing behind, so that where its answer was lost
 * the command is decided anew, maybe behind what its sender has sent after it.
 */
import type { CommandEntry, Entry, Violation } from './history.ts'

interface Told {
  readonly entry: CommandEntry
  /** Among all that was sent through its node. */
  readonly order: number
  readonly version: number
  readonly position: number
}

export function checkSenders(history: readonly Entry[]): Violation[] {
  const commands = history.filter((entry) => entry.kind === 'command')
  const nodes = new Map<number, Told[]>()
  for (const sent of Map.groupBy(commands, ({ commandId }) => commandId).values()) {
    const entry = sent[0]!
    const { outcome, via } = entry
    if (sent.length > 1 || outcome.kind !== 'accepted' || via === undefined) continue
    const { version, position } = outcome
    const told = nodes.get(via.node) ?? []
    nodes.set(via.node, told)
    told.push({ entry, order: via.order, version, position })
  }
  return [...nodes.values()].flatMap((told) => [...brokenCauses(told), ...brokenOrders(told)])
}

function brokenCauses(told: readonly Told[]): Violation[] {
  const violations: Violation[] = []
  const byReturn = told.toSorted((a, b) => a.entry.returnedAt - b.entry.returnedAt)
  let returned = 0
  let newest: Told | undefined
  for (const effect of told.toSorted((a, b) => a.entry.invokedAt - b.entry.invokedAt)) {
    const { invokedAt, stream } = effect.entry
    for (; returned < byReturn.length && byReturn[returned]!.entry.returnedAt < invokedAt; returned += 1) {
      if (byReturn[returned]!.position > (newest?.position ?? 0)) newest = byReturn[returned]
    }
    if (newest === undefined || effect.position > newest.position) continue
    const message = `${describe(effect)} was sent after that had been told: ${describe(newest)}`
    violations.push({ kind: 'cause-order', stream, message })
  }
  return violations
}

function brokenOrders(told: readonly Told[]): Violation[] {
  const certain = told.filter(({ entry }) => entry.mayBeRejected !== true)
  return [...Map.groupBy(certain, ({ entry }) => entry.stream)].flatMap(([stream, ofStream]) => {
    const row = ofStream.toSorted((a, b) => a.order - b.order)
    return row.flatMap((later, i): Violation[] => {
      const sooner = row[i - 1]
      if (sooner === undefined || later.version > sooner.version) return []
      const message = `${describe(later)} was sent after that, through the same node: ${describe(sooner)}`
      return [{ kind: 'sender-order', stream, message }]
    })
  })
}

function describe({ entry: { commandId, stream, via }, order, version, position }: Told): string {
  return `command ${commandId} at version ${version} of ${stream}, position ${position}, the ${order}th that node ${via!.node} was given`
}
