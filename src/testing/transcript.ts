/** A story as it went, told as given, when and then. Lines are made when somebody reads them: most stories end well. */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { labelled } from './describe.ts'
import { describeSpan } from './span.ts'
import type { Story } from './story.ts'

type Label = 'given' | 'when' | 'then' | 'and' | 'but'

const LABEL_WIDTH = 6

export class Transcript {
  readonly #lines: (() => string)[] = []

  add(label: Label, line: () => string): void {
    this.#lines.push(() => labelled(label.padEnd(LABEL_WIDTH), line()))
  }

  toString(): string {
    return this.#lines.map((line) => line()).join('\n')
  }
}

/** `14 days pass`. */
export function describePassing(ms: number): string {
  const span = describeSpan(ms)
  return `${span} ${span.startsWith('1 ') ? 'passes' : 'pass'}`
}

export function describeStart({ type }: Aggregate, { snapshotEvery }: Story): string {
  if (snapshotEvery === false) return `${type} aggregates without events, and without snapshots`
  const often = snapshotEvery === 1 ? 'every event' : `every ${snapshotEvery} events`
  return `${type} aggregates without events, and a snapshot after ${often}`
}
