/** Begins a rebuild, or gives it up, at whatever node runs the projection, also where that one leaves meanwhile. */
import { PenholdError } from '../aggregate/error.ts'
import type { ProjectionCluster } from './projection-cluster.ts'
import type { Sighting } from './projection-sightings.ts'

type Callers = Pick<ProjectionCluster, 'running' | 'callRunner'>

/**
 * Resolves to the generation that is rebuilt from now on, or is live already.
 * @throws what the node throws that begins it; Failure where none runs the projection; the signal's reason
 */
export async function begin(cluster: Callers, projection: string, call: 'rebuild' | 'resumeRebuild'): Promise<number> {
  const before = await cluster.running(projection)
  const hasUnfinished = before.some(({ status }) => status.unfinished !== undefined || status.rebuild !== undefined)
  for (;;) {
    const answer = await cluster.callRunner(projection, { call })
    if (answer !== 'left') return Number(answer.value)
    // Whether it was begun is not known. One that was there before was not begun by this: it is refused again.
    const begun = call === 'rebuild' && hasUnfinished ? undefined : await begunSince(cluster, projection, before)
    if (begun !== undefined) return begun
  }
}

/** Resolves once nothing is rebuilt any more. */
export async function abort(cluster: Callers, projection: string): Promise<void> {
  while ((await cluster.callRunner(projection, { call: 'abortRebuild' })) === 'left');
}

/** What a node had begun that has left since: it is gone on with where it is not live yet. Undefined where it had not. */
async function begunSince(
  cluster: Callers,
  projection: string,
  before: readonly Sighting[],
): Promise<number | undefined> {
  try {
    const answer = await cluster.callRunner(projection, { call: 'resumeRebuild' })
    return answer === 'left' ? await begunSince(cluster, projection, before) : Number(answer.value)
  } catch (error) {
    if (!(error instanceof PenholdError && error.code === 'ProjectionState')) throw error
    const live = liveOf(await cluster.running(projection))
    return live > liveOf(before) ? live : undefined
  }
}

function liveOf(sightings: readonly Sighting[]): number {
  return Math.max(...sightings.map(({ status }) => status.generation))
}
