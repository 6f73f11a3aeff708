/**
 * The outbox `sla-breaches`: what others may know of incidents that are late. That an SLA was missed, and that one has waited
 * for too long, goes to a Redis Stream, as CloudEvents with the incident's number as their subject.
 */
import { defineOutbox, idOf, redisStreamPublisher, type Outbox } from '../../../src/index.ts'
import { Incident } from '../incident.ts'

export const BREACHES = 'desk:breaches'
export const SLA_MISSED = 'example.desk.sla-missed'
export const WAITED_TOO_LONG = 'example.desk.waited-too-long'
/** What whoever reads them may be away for. */
const KEPT = 100_000

/** @param redis its URL */
export function defineBreaches(redis: string): Outbox {
  return defineOutbox({
    name: 'sla-breaches',
    startAt: 'beginning',
    from: [Incident],
    source: 'https://desk.example/incidents',
    map: {
      SlaMissed: (event) => ({
        type: SLA_MISSED,
        subject: idOf(event),
        data: { reportedAt: event.data.at },
      }),
      IncidentEscalated: (event) => ({
        type: WAITED_TOO_LONG,
        subject: idOf(event),
        data: { state: event.data.state, priority: event.data.priority },
      }),
    },
    publisher: redisStreamPublisher({ redis, stream: BREACHES, maxLen: KEPT }),
  })
}
