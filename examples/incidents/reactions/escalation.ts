/**
 * The process `escalation`: an incident that waits for longer than its priority allows is escalated. Its key is the incident's
 * number.
 *
 *     it waits ── timer ── escalate: the incident, if it waits still
 *         └ it moves on: cancel the timer
 *
 * A wait is counted from when the log heard of it. So history that is read in sets timers in the future, for what waits at
 * its end; and where the process is new to a log, what has waited for too long by then is escalated at once. Of waits that are over the
 * incident knows, and refuses: nobody is woken up for what was years ago.
 */
import { defineProcess, idOf, type ProcessContext } from '../../../src/index.ts'
import { Incident } from '../incident.ts'
import { isWaiting, type IncidentState } from '../workflow.ts'

/** How long an incident may wait, by priority: 1 is critical. */
export const WAIT_HOURS: Readonly<Record<number, number>> = { 1: 4, 2: 8, 3: 24, 4: 72 }

interface Escalation {
  readonly priority: number
  /** The report with which it began, and when that was recorded. */
  readonly wait: { readonly since: number; readonly atMs: number } | null
}

type Timers = Pick<ProcessContext<[], 'waited-too-long'>, 'schedule' | 'cancel'>

interface Recorded {
  readonly stream: string
  readonly time: Date
  readonly data: { readonly update: number }
}

/** @param hourMs how long an hour takes; what is shown or tested has less time */
export function defineEscalation({ hourMs }: { readonly hourMs: number }) {
  const arrange = ({ priority, wait }: Escalation, _event: unknown, { schedule, cancel }: Timers): undefined => {
    if (wait === null) cancel('waited-too-long')
    else schedule('waited-too-long', { at: wait.atMs + WAIT_HOURS[priority]! * hourMs })
  }
  return defineProcess({
    type: 'escalation',
    from: [Incident],
    to: [Incident],
    timers: ['waited-too-long'],
    startAt: 'beginning',
    correlate: {
      IncidentOpened: idOf,
      IncidentPrioritised: idOf,
      WorkStarted: idOf,
      WorkSuspended: idOf,
      IncidentResolved: idOf,
      ResolutionWithdrawn: idOf,
      IncidentReopened: idOf,
      IncidentClosed: idOf,
    },
    initialState: (): Escalation => ({ priority: 3, wait: null }),
    evolve: {
      IncidentOpened: (_none, event) => ({
        priority: event.data.priority,
        wait: waitIn(event.data.state, event),
      }),
      IncidentPrioritised: (now, { data: { priority } }) => ({ ...now, priority }),
      WorkStarted: (now, event) => ({ ...now, wait: waitIn('Active', event) }),
      WorkSuspended: (now, event) => ({ ...now, wait: waitIn(event.data.state, event) }),
      IncidentResolved: (now, event) => ({ ...now, wait: waitIn('Resolved', event) }),
      ResolutionWithdrawn: (now, event) => ({ ...now, wait: waitIn('New', event) }),
      IncidentReopened: (now, event) => ({ ...now, wait: waitIn(event.data.state, event) }),
      IncidentClosed: (now, event) => ({ ...now, wait: waitIn('Closed', event) }),
    },
    on: {
      IncidentOpened: arrange,
      // What waits already may wait for a shorter time now, or a longer one.
      IncidentPrioritised: arrange,
      WorkStarted: arrange,
      WorkSuspended: arrange,
      IncidentResolved: arrange,
      ResolutionWithdrawn: arrange,
      IncidentReopened: arrange,
      IncidentClosed: arrange,
      'waited-too-long': ({ wait }, _timer, { key, send }) =>
        wait === null ? undefined : send(Incident, key, 'escalate', { since: wait.since }),
    },
  })
}

function waitIn(state: IncidentState, { time, data: { update } }: Recorded): Escalation['wait'] {
  return isWaiting(state) ? { since: update, atMs: time.getTime() } : null
}
