/** What a config has hang on events: the table by which they are given to reactors, processes and outboxes. Pure. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import type { ClusterConfig } from '../node/config.ts'
import type { Consumer } from '../react/consumer.ts'
import { consumersOf } from '../react/process-consumers.ts'
import type { Reactor } from '../react/reactor.ts'
import { table } from './table.ts'

/** One that is given an event. */
export interface Hanging {
  /** `type/Event`; `*` for events of whatever stream. */
  readonly event: string
  readonly kind: Consumer['kind']
  /** As it is called in other commands. */
  readonly name: string
  readonly mode: Reactor['mode']
  readonly onFailure: Reactor['onFailure']
}

type Hung = Pick<ClusterConfig, 'reactors' | 'processes' | 'outboxes'>

/** By event, then by name. */
export function hangingOf({ reactors, processes, outboxes }: Hung): readonly Hanging[] {
  const hanging = [
    ...reactors.flatMap(({ name, from, on, mode, onFailure }) =>
      eventsOf(from, Object.keys(on)).map((event): Hanging => ({ event, kind: 'reactor', name, mode, onFailure })),
    ),
    ...processes.flatMap((process) => {
      const [{ kind, name, onFailure }] = consumersOf(process) as [Consumer]
      return eventsOf(process.from as readonly Aggregate[], Object.keys(process.correlate)).map((event): Hanging => ({
        event,
        kind,
        name,
        mode: 'asynchronous',
        onFailure,
      }))
    }),
    ...outboxes.flatMap(({ name, from, map, onFailure }) =>
      eventsOf(from === 'published' ? 'all' : from, Object.keys(map)).map((event): Hanging => ({
        event,
        kind: 'outbox',
        name,
        mode: 'asynchronous',
        onFailure,
      })),
    ),
  ]
  return hanging.toSorted((a, b) => compare(a.event, b.event) || compare(a.name, b.name))
}

export function hangingTable(hanging: readonly Hanging[]): string {
  const rows = hanging.map(({ event, name, kind, mode, onFailure }) => [event, name, kind, mode, onFailure])
  return table([['EVENT', 'GIVEN TO', 'KIND', 'MODE', 'ON FAILURE'], ...rows])
}

function eventsOf(from: 'all' | readonly Aggregate[], types: readonly string[]): readonly string[] {
  return types.flatMap((type) => {
    if (from === 'all') return [`*/${type}`]
    return from.filter(({ events }) => type in events).map((aggregate) => `${aggregate.type}/${type}`)
  })
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
