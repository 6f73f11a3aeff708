/**
 * The runs of a schedule that sends a command every few seconds, and makes up for those that were missed: there is one for
 * each time, in order, none before it, and its command has taken effect once, in order.
 */
import { checkCause, checkRow, type Fact } from './facts.ts'
import { TICK_MS, TICKED, TICKS } from './kinds.ts'

export interface FoundTicks {
  /** Up to this time, in milliseconds since 1970, all commands have taken effect. */
  readonly settled: number
  readonly apartMs: number
}

export function checkTicks(
  log: ReadonlyMap<string, readonly Fact[]>,
  { settled, apartMs }: FoundTicks,
  counts: { ticks: number; commands: number },
): string[] {
  const runs = (log.get(TICKS) ?? []).filter(({ type }) => type === 'RunDue')
  const times = runs.map(({ data }) => (data as { readonly time: number }).time)
  const notes = log.get(TICKED) ?? []
  counts.ticks += runs.length
  counts.commands += notes.length
  const wrong = times.findIndex((time, i) => i > 0 && time !== times[i - 1]! + TICK_MS)
  const early = runs.findIndex(({ time }, i) => time < times[i]! - apartMs)
  return [
    ...(wrong < 0 ? [] : [`ticks: a run of ${times[wrong]} comes behind that of ${times[wrong - 1]}`]),
    ...(early < 0
      ? []
      : [`ticks: the run of ${times[early]} is ${times[early]! - runs[early]!.time} ms before its time`]),
    ...((times.at(-1) ?? 0) >= settled ? [] : [`ticks: there is no run of ${settled}, whose command has taken effect`]),
    ...checkRow('ticks', { notes, of: times, settled }),
    ...notes.flatMap((note, i) => checkCause(note, runs[i])),
  ]
}
