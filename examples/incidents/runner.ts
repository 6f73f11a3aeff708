/** One run of the demo over a node: all rows of a source are taken in; then aggregates and read models are asked. */
import type { Node } from '../../src/index.ts'
import { Intake, type Replies } from './intake.ts'
import { ExpectedReadModels } from './read-models/expected.ts'
import { askReadModels, type ReadModels } from './read-models/read-models.ts'
import type { Source } from './rows.ts'
import { tally, type Tally } from './tally.ts'

/** What a run ends with: the same over the same rows and data, however often it is run, but for the last two. */
export interface Numbers extends Replies, Tally {
  readonly seconds: number
  readonly commandsPerSecond: number
}

export type Run =
  | {
      readonly kind: 'done'
      readonly numbers: Numbers
      readonly readModels: ReadModels
      /** What they must be, by the rows that were accepted. */
      readonly expected: ReadModels
    }
  /** The signal came first. What was taken in is durable. */
  | { readonly kind: 'stopped'; readonly rows: number }

export interface RunOptions {
  readonly node: Node
  readonly source: Source
  readonly signal?: AbortSignal
  /** Told now and then how many rows have been sent. */
  readonly onRows?: (rows: number) => void
}

export async function run({ node, source, signal, onRows }: RunOptions): Promise<Run> {
  const startedMs = performance.now()
  const expected = new ExpectedReadModels()
  const intake = new Intake(node, { signal, onAccepted: (row) => expected.add(row) })
  const timer = setInterval(() => onRows?.(intake.replies.rows), 100)
  try {
    await intake.take(source.rows)
  } finally {
    clearInterval(timer)
  }
  onRows?.(intake.replies.rows)
  const { replies, numbers } = intake
  if (signal?.aborted === true) return { kind: 'stopped', rows: replies.rows }
  const seconds = (performance.now() - startedMs) / 1000
  const { rows, commands, accepted, rejected, rejections } = replies
  return {
    kind: 'done',
    readModels: await askReadModels(node, intake.position),
    expected: expected.readModels(),
    numbers: {
      rows,
      commands,
      accepted,
      rejected,
      rejections,
      ...(await tally(node, numbers)),
      seconds: Math.round(seconds * 1000) / 1000,
      commandsPerSecond: Math.round(commands / seconds),
    },
  }
}
