/**
 * A projection's read model against the log: whatever has happened, each event up to its place counts once, by its effect,
 * or as parked, or as skipped by somebody; in order; and nothing counts that is not in the log.
 */
import { comparePlaces } from '../../src/read/place.ts'
import type { LoggedEvent, LoggedStreams } from './history.ts'

/** What a generation of a read model was found to have. */
export interface FoundReadModel {
  /** All that has taken effect, in the order in which it has. */
  readonly row: readonly FoundEffect[]
  /** By `<stream>@<version>`. */
  readonly parked: ReadonlySet<string>
  readonly skipped: ReadonlySet<string>
  /** Whether an event is one that its lane has gone past. */
  readonly isDue: (event: LoggedEvent) => boolean
  /** Of which of its lanes an event is. */
  readonly laneOf: (event: LoggedEvent) => string
}

export interface FoundEffect {
  readonly stream: string
  readonly version: number
  readonly position: number
  readonly commandId: string
  /** It was parked before, or may have been: it came in the order of its stream alone. */
  readonly isRetried: boolean
}

export function nameOf({ stream, version }: { readonly stream: string; readonly version: number }): string {
  return `${stream}@${version}`
}

/** What is wrong, in words. */
export function checkReadModel(found: FoundReadModel, log: LoggedStreams): string[] {
  const order = [...log]
    .flatMap(([stream, events]) => events.map((event) => ({ ...event, name: nameOf({ stream, ...event }) })))
    .toSorted(comparePlaces)
  const places = new Map(order.map((event, i) => [event.name, { ...event, at: i }]))
  const counts = new Map<string, number>()
  const problems = checkRow(found, places)
  for (const name of [...found.row.map(nameOf), ...found.parked, ...found.skipped]) {
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  for (const event of order) {
    const count = counts.get(event.name) ?? 0
    const isDue = found.isDue(event)
    if (isDue && count !== 1) problems.push(`${event.name} counts ${count} times, behind its place`)
    if (!isDue && count !== 0) problems.push(`${event.name} counts, and its place is not there yet`)
  }
  return problems
}

function checkRow(
  { row, laneOf }: FoundReadModel,
  places: ReadonlyMap<string, LoggedEvent & { readonly at: number }>,
): string[] {
  const problems: string[] = []
  const ofLane = new Map<string, number>()
  const ofStream = new Map<string, number>()
  for (const effect of row) {
    const { stream, version, position, commandId, isRetried } = effect
    const name = nameOf(effect)
    const event = places.get(name)
    if (event?.position !== position || event.commandId !== commandId) {
      problems.push(`${name} of command ${commandId} has taken effect, and is not in the log`)
      continue
    }
    const lane = laneOf(event)
    if (version <= (ofStream.get(stream) ?? 0)) problems.push(`${name} has taken effect out of its stream's order`)
    if (!isRetried && event.at <= (ofLane.get(lane) ?? -1)) problems.push(`${name} has taken effect out of order`)
    ofStream.set(stream, version)
    if (!isRetried) ofLane.set(lane, event.at)
  }
  return problems
}
