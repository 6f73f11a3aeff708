/**
 * Sits where outboxes publish to, and notes each message as it arrives. In the end what has arrived is held against the log,
 * of which it knows what outboxes promise, and nothing of how they do it.
 */
import type { Arrived } from '../../../src/testing/simulated-broker.ts'
import type { CloudEvent } from '../../../src/react/cloud-event.ts'

/** An event of the log that an outbox may be asked about. */
export interface Fact {
  readonly version: number
  readonly position: number
  readonly type: string
  readonly data: unknown
}

/** What an outbox is to publish. */
export interface Promised {
  readonly outbox: string
  /** By stream. */
  readonly facts: ReadonlyMap<string, readonly Fact[]>
  /** What is to be told of an event; undefined for nothing. */
  readonly told: (fact: Fact) => unknown
  /** Whether somebody has given the event up. */
  readonly isSkipped: (stream: string, version: number) => boolean
}

/** The first copy of a message. */
interface First {
  readonly nth: number
  readonly event: CloudEvent
  readonly json: string
}

export class MessageWitness {
  readonly problems: string[] = []
  /** By outbox and stream, by version. */
  readonly #first = new Map<string, Map<number, First>>()
  #arrived = 0

  /** How many have arrived, copies too. */
  get arrived(): number {
    return this.#arrived
  }

  landed({ message }: Arrived): void {
    this.#arrived += 1
    const { event, json } = message
    const of = this.#of(event.source, event.stream)
    const version = Number(event.version)
    const known = of.get(version)
    if (known === undefined) of.set(version, { nth: this.#arrived, event, json })
    else if (known.json !== json) {
      this.problems.push(`version ${version} of ${event.stream} was published as ${known.json} and as ${json}`)
    }
  }

  /** What is wrong with what was published, in words. */
  broken({ outbox, facts, told, isSkipped }: Promised): string[] {
    const problems: string[] = []
    const source = `urn:penhold:${outbox}`
    const ids = new Set<string>()
    for (const [stream, events] of facts) {
      const first = this.#of(source, stream)
      let last: First | undefined
      for (const fact of events) {
        const name = `version ${fact.version} of ${stream}`
        const found = first.get(fact.version)
        const data = told(fact)
        if (found === undefined) {
          if (data !== undefined && !isSkipped(stream, fact.version)) problems.push(`${name} was never published`)
          continue
        }
        if (data === undefined) problems.push(`${name} was published, and is nothing that others may know of`)
        else if (!isOf(found.event, fact, data)) problems.push(`${name} is another event than ${found.json} says`)
        if (ids.has(found.event.id)) problems.push(`${name} has the id of another message`)
        ids.add(found.event.id)
        if (isSkipped(stream, fact.version)) continue
        if (last !== undefined && found.nth < last.nth) {
          problems.push(`${name} was published before version ${last.event.version}`)
        }
        last = found
      }
      const newest = events.at(-1)?.version ?? 0
      for (const version of first.keys()) {
        if (version > newest) problems.push(`version ${version} of ${stream} was published, and is not in the log (I3)`)
      }
    }
    const strays = [...this.#first].filter(([name, of]) => name.startsWith(`${source} `) && of.size > 0)
    for (const [name] of strays) {
      const stream = name.slice(source.length + 1)
      if (!facts.has(stream)) problems.push(`something of ${stream} was published, which ${outbox} does not take`)
    }
    return problems
  }

  #of(source: string, stream: string): Map<number, First> {
    const name = `${source} ${stream}`
    const of = this.#first.get(name) ?? new Map<number, First>()
    this.#first.set(name, of)
    return of
  }
}

function isOf({ position, data }: CloudEvent, fact: Fact, told: unknown): boolean {
  return position === String(fact.position) && JSON.stringify(data) === JSON.stringify(told)
}
