/** That what one sender sends to one aggregate takes effect in the order in which it was sent, whoever owns it. */
import type { Attempt } from '../history.ts'

/** What is wrong, in words. Attempts are in the order of sending. */
export function brokenRows(attempts: readonly Attempt[]): string[] {
  const problems: string[] = []
  const last = new Map<number, number>()
  for (const { row, stream, events, outcome } of attempts) {
    if (row === undefined || events === 0 || outcome.kind !== 'accepted') continue
    const before = last.get(row) ?? 0
    if (outcome.version <= before)
      problems.push(`${stream}: what was sent after version ${before} became ${outcome.version}`)
    last.set(row, outcome.version)
  }
  return problems
}
