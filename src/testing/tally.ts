/** What a search has exercised: counted while stories are told, and looked at when all of them went well. */
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import { noFaults, type FaultKind } from './story.ts'

/** What came of one command, through all stories. */
export interface CommandCount {
  /** With events. */
  readonly accepted: number
  /** Accepted without an event. */
  readonly nothing: number
  /** By code. */
  readonly rejected: Readonly<Record<string, number>>
}

/** What callers are told of a command; of one that failed there is nothing to count. */
export type Told =
  | { readonly kind: 'accepted'; readonly events: readonly EmittedEvent[] }
  | { readonly kind: 'rejected'; readonly code: string }
  | { readonly kind: 'failed' }

interface Count {
  accepted: number
  nothing: number
  readonly rejected: Map<string, number>
}

export class Tally {
  readonly faults: Record<FaultKind, number> = noFaults()
  /** How often time was said to pass. */
  passes = 0
  readonly #commands: ReadonlyMap<string, Count>
  readonly #events: Map<string, number>

  /** Of these commands; what never happens is counted too. */
  constructor(aggregate: Aggregate, commands: Iterable<string>) {
    this.#commands = new Map([...commands].map((name) => [name, { accepted: 0, nothing: 0, rejected: new Map() }]))
    this.#events = new Map(Object.keys(aggregate.events as object).map((type) => [type, 0]))
  }

  add(command: string, told: Told): void {
    const count = this.#commands.get(command)
    if (count === undefined) return
    if (told.kind === 'rejected') increment(count.rejected, told.code)
    if (told.kind !== 'accepted') return
    if (told.events.length === 0) count.nothing += 1
    else count.accepted += 1
    for (const { type } of told.events) increment(this.#events, type)
  }

  get outcomes(): Readonly<Record<string, CommandCount>> {
    const counts = [...this.#commands].map(([name, { accepted, nothing, rejected }]) => [
      name,
      { accepted, nothing, rejected: Object.fromEntries(rejected) },
    ])
    return Object.fromEntries(counts) as Readonly<Record<string, CommandCount>>
  }

  get events(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#events)
  }

  get isWithoutEvents(): boolean {
    return [...this.#events.values()].every((count) => count === 0)
  }

  /** What each command was told, a line each. */
  describeOutcomes(): string {
    return [...this.#commands]
      .map(([name, { accepted, nothing, rejected }]) => {
        const told = [...rejected].map(([code, count]) => `rejected '${code}' (${count}×)`)
        if (nothing > 0) told.push(`accepted without an event (${nothing}×)`)
        if (accepted > 0) told.push(`accepted (${accepted}×)`)
        return `  ${name}: ${told.length === 0 ? 'never sent' : told.join(', ')}`
      })
      .join('\n')
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
