/** What operators ask of a node from outside, given to what it is about. */
import type { ProjectionCall } from '../cluster/projection-call.ts'
import { isOfConsumers, operateConsumers } from './consumer-operation.ts'
import type { Consumers } from './consumers.ts'
import { isOfInboxes, operateInboxes } from './inbox-operation.ts'
import type { Inboxes } from './inboxes.ts'
import { operate } from './projection-operation.ts'
import type { Projections } from './projections.ts'
import { isOfSchedules, operateSchedules, type Schedules } from './schedules.ts'

export interface Operated {
  readonly projections: Projections
  readonly consumers: Consumers
  readonly inboxes: Inboxes
  readonly schedules: Schedules
  /** As `otherKinds` says. */
  readonly others: ReadonlyMap<string, string>
}

/** @throws PenholdError, whatever it is that fails */
export function operateNode(operated: Operated, call: ProjectionCall): Promise<unknown> {
  const { projections, consumers, inboxes, schedules, others } = operated
  if (isOfConsumers(call)) return operateConsumers(consumers, call, others)
  if (isOfSchedules(call)) return operateSchedules(schedules, call)
  return isOfInboxes(call) ? operateInboxes(inboxes, call) : operate(projections, call)
}
