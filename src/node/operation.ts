/** What operators ask of a node from outside, given to what it is about. */
import type { ProjectionCall } from '../cluster/projection-call.ts'
import { isOfConsumers, operateConsumers } from './consumer-operation.ts'
import type { Consumers } from './consumers.ts'
import { isOfInboxes, operateInboxes } from './inbox-operation.ts'
import type { Inboxes } from './inboxes.ts'
import { operate } from './projection-operation.ts'
import type { Projections } from './projections.ts'

export interface Operated {
  readonly projections: Projections
  readonly consumers: Consumers
  readonly inboxes: Inboxes
}

/** @throws PenholdError, whatever it is that fails */
export function operateNode({ projections, consumers, inboxes }: Operated, call: ProjectionCall): Promise<unknown> {
  if (isOfConsumers(call)) return operateConsumers(consumers, call, inboxes.names)
  return isOfInboxes(call) ? operateInboxes(inboxes, call) : operate(projections, call)
}
