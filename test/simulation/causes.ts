/**
 * I6: what was sent through a node after a reply had come through it has a greater position, whichever shards they are
 * in. The rest of what clients saw is held against the log by test/checker/.
 */
import type { Attempt } from './history.ts'

interface Mark {
  readonly at: number
  readonly isReturn: boolean
  readonly position: number
}

/** What is wrong, in words. */
export function brokenCauses(attempts: readonly Attempt[]): string[] {
  const marks = new Map<object, Mark[]>()
  for (const tries of Map.groupBy(attempts, ({ by }) => by).values()) {
    const [first] = tries
    // A command that was tried before may stand where its first attempt put it.
    if (tries.length !== 1 || first?.outcome.kind !== 'accepted' || first.events === 0) continue
    const { via, invokedAt, returnedAt, outcome } = first
    const { position } = outcome
    const own = marks.get(via) ?? []
    own.push({ at: invokedAt, isReturn: false, position }, { at: returnedAt, isReturn: true, position })
    marks.set(via, own)
  }
  return [...marks.values()].flatMap(outOfOrder)
}

function outOfOrder(marks: Mark[]): string[] {
  const problems: string[] = []
  // At one moment nothing has ended yet of what begins there.
  marks.sort((a, b) => a.at - b.at || Number(a.isReturn) - Number(b.isReturn))
  let max = 0
  for (const { isReturn, position } of marks) {
    if (isReturn) max = Math.max(max, position)
    else if (position <= max) problems.push(`what stands at position ${position} began after ${max} was told (I6)`)
  }
  return problems
}
