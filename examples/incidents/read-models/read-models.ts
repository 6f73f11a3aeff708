/** The example's three read models, asked together. */
import type { Node } from '../../../src/index.ts'
import { openByAssignee, openByGroup, OpenIncidents } from './open-incidents.ts'
import type { OpenByAssignee, OpenByGroup } from './open-incidents.ts'
import { slaByPriority, SlaVerdicts, type SlaByPriority } from './sla-verdicts.ts'
import { timeByGroup, timeByPriority, TimeToResolve } from './time-to-resolve.ts'
import type { TimeByGroup, TimeByPriority } from './time-to-resolve.ts'

export interface ReadModels {
  readonly openByGroup: readonly OpenByGroup[]
  readonly openByAssignee: readonly OpenByAssignee[]
  readonly timeByPriority: readonly TimeByPriority[]
  readonly timeByGroup: readonly TimeByGroup[]
  readonly slaByPriority: readonly SlaByPriority[]
}

/** Read models make up for a whole log where they are new. */
const CATCH_UP_MS = 10 * 60_000

/**
 * Resolves once each has all up to the position `after`, which the last reply named.
 * @throws PenholdError `ProjectionHalted` where one will not come there before somebody has mended it
 */
export async function askReadModels(node: Pick<Node, 'projection'>, after: number): Promise<ReadModels> {
  const options = { after, timeoutMs: CATCH_UP_MS }
  const [open, times, verdicts] = await Promise.all([
    node
      .projection(OpenIncidents)
      .query((model) => ({ byGroup: openByGroup(model), byAssignee: openByAssignee(model) }), options),
    node
      .projection(TimeToResolve)
      .query((model) => ({ byPriority: timeByPriority(model), byGroup: timeByGroup(model) }), options),
    node.projection(SlaVerdicts).query(slaByPriority, options),
  ])
  return {
    openByGroup: open.byGroup,
    openByAssignee: open.byAssignee,
    timeByPriority: times.byPriority,
    timeByGroup: times.byGroup,
    slaByPriority: verdicts,
  }
}
