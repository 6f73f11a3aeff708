/**
 * Making a story shorter where fast-check has left off: it shrinks a list from its front and each item for itself, and
 * so leaves steps in that have nothing to do with what is wrong. The same story always gives the same shorter one.
 */
import { shorterSpans } from './span.ts'
import type { Step, Story } from './story.ts'

const TRIES_MAX = 1_000
/** Stories of more steps are not told without two or three of them: that would be too many. */
const FEW_STEPS = 12

/** The shortest story that still fails, taking one thing away at a time; `fails` tells a story. */
export async function shorten<Failure>(
  story: Story,
  failure: Failure,
  fails: (story: Story) => Promise<Failure | undefined>,
): Promise<{ readonly story: Story; readonly failure: Failure; readonly shortened: number }> {
  let best = { story, failure, shortened: 0 }
  let tries = 0
  for (let isShorter = true; isShorter;) {
    isShorter = false
    for (const candidate of shorterThan(best.story)) {
      if ((tries += 1) > TRIES_MAX) return best
      const found = await fails(candidate)
      if (found === undefined) continue
      best = { story: candidate, failure: found, shortened: best.shortened + 1 }
      isShorter = true
      break
    }
  }
  return best
}

function* shorterThan(story: Story): Generator<Story> {
  const { steps, snapshotEvery } = story
  for (let i = steps.length - 1; i >= 0; i -= 1) {
    if (steps.length > 1) yield { ...story, steps: steps.toSpliced(i, 1) }
  }
  if (steps.some((step) => step.kind === 'command' && step.aggregate > 0)) {
    yield { ...story, steps: steps.map((step) => (step.kind === 'command' ? { ...step, aggregate: 0 } : step)) }
  }
  for (const merged of withoutPasses(steps)) yield { ...story, steps: merged }
  for (const [i, step] of steps.entries()) {
    for (const simpler of simplerThan(step)) yield { ...story, steps: steps.with(i, simpler) }
  }
  for (const simpler of simplerSnapshots(snapshotEvery)) yield { ...story, snapshotEvery: simpler }
  for (const fewer of withoutSome(steps)) yield { ...story, steps: fewer }
}

function* simplerSnapshots(snapshotEvery: number | false): Generator<number | false> {
  if (snapshotEvery === false) return
  for (const simpler of [false, 1, 2] as const) {
    if (simpler === snapshotEvery) return
    yield simpler
  }
}

/** Without two or three that only together have nothing to do with it, such as one that undoes what another did. */
function* withoutSome(steps: readonly Step[]): Generator<readonly Step[]> {
  if (steps.length > FEW_STEPS) return
  const without = (...some: readonly number[]): readonly Step[] => steps.filter((_step, i) => !some.includes(i))
  for (let i = steps.length - 1; i > 0; i -= 1) {
    for (let j = i - 1; j >= 0 && steps.length > 2; j -= 1) {
      yield without(i, j)
      for (let k = j - 1; k >= 0 && steps.length > 3; k -= 1) yield without(i, j, k)
    }
  }
}

/** With one pass of time instead of two. */
function* withoutPasses(steps: readonly Step[]): Generator<readonly Step[]> {
  const passes = [...steps.entries()].flatMap(([i, step]) => (step.kind === 'pass' ? [{ i, ms: step.ms }] : []))
  for (const [k, next] of passes.slice(1).entries()) {
    const { i, ms } = passes[k]!
    const both: Step = { kind: 'pass', ms: ms + next.ms }
    yield steps.with(i, both).toSpliced(next.i, 1)
    yield steps.with(next.i, both).toSpliced(i, 1)
  }
}

function* simplerThan(step: Step): Generator<Step> {
  if (step.kind === 'pass') for (const ms of shorterSpans(step.ms)) yield { ...step, ms }
  if ((step.kind === 'command' || step.kind === 'again') && step.isConcurrent) yield { ...step, isConcurrent: false }
  if (step.kind === 'command' && step.aggregate > 0) yield { ...step, aggregate: 0 }
  if (step.kind === 'die' && step.losesPower) yield { ...step, losesPower: false }
  if (step.kind === 'die' && step.isAfter) yield { ...step, isAfter: false }
  if ((step.kind === 'die' || step.kind === 'disk') && step.at > 0) yield { ...step, at: step.at - 1 }
}
