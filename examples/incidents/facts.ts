/**
 * What is known of an incident, and the events that change it, each with the state after it. Pure; the commands that
 * decide on these events stand in incident.ts.
 */
import type { Awaiting, IncidentState } from './workflow.ts'

/** What the desk knows of an incident. People, groups and places are the desk's own keys; null where it has none. */
export interface Facts {
  readonly state: IncidentState
  readonly group: string | null
  readonly assignee: string | null
  readonly impact: number
  readonly urgency: number
  readonly priority: number
  readonly category: string | null
  readonly subcategory: string | null
  readonly caller: string | null
  readonly contact: string | null
  readonly location: string | null
  /** Whether a document of the knowledge base was used. */
  readonly hasKnowledge: boolean
  /** How often it was handed to a group, so far. */
  readonly reassignments: number
  /** How often work on it began again, so far. */
  readonly reopenings: number
  /** Whether it is still within the time that was agreed on. */
  readonly isWithinSla: boolean
}

/** Which of the incident's reports: 1, 2, 3 … in the desk's order; and when the desk made it. */
export interface Stamp {
  readonly update: number
  readonly at: string
}

export interface Opening {
  readonly openedAt: string
  readonly openedBy: string | null
}

/** What the aggregate keeps. */
export type Known = Omit<Facts, 'state'> &
  Opening & {
    /** Null until it is opened. */
    readonly state: IncidentState | null
    /** The report with which it came to its state. */
    readonly since: number
    /** Of the wait that it was escalated for last, the report with which that began; 0 for none. */
    readonly escalated: number
    readonly escalations: number
    /** The last report that was accepted. */
    readonly update: number
    /** Reports that were accepted. */
    readonly updates: number
    readonly events: number
  }

/** The facts of an incident of which nothing was told. */
export const NOTHING_TOLD: Omit<Facts, 'state'> = {
  group: null,
  assignee: null,
  impact: 2,
  urgency: 2,
  priority: 3,
  category: null,
  subcategory: null,
  caller: null,
  contact: null,
  location: null,
  hasKnowledge: false,
  reassignments: 0,
  reopenings: 0,
  isWithinSla: true,
}

export const NOTHING_KNOWN: Known = {
  ...NOTHING_TOLD,
  state: null,
  openedAt: '',
  openedBy: null,
  since: 0,
  escalated: 0,
  escalations: 0,
  update: 0,
  updates: 0,
  events: 0,
}

/** An event's data: its stamp, and those facts that it tells anew. */
type Telling<K extends keyof Facts> = Stamp & Pick<Facts, K>

export const incidentEvents = {
  IncidentOpened: (known: Known, told: Stamp & Opening & Facts) => after(known, told),
  IncidentReassigned: (known: Known, told: Telling<'group' | 'reassignments'>) => after(known, told),
  IncidentAssigned: (known: Known, told: Telling<'assignee'>) => after(known, told),
  IncidentPrioritised: (known: Known, told: Telling<'impact' | 'urgency' | 'priority'>) => after(known, told),
  IncidentClassified: (known: Known, told: Telling<'category' | 'subcategory'>) => after(known, told),
  IncidentAmended: (known: Known, told: Telling<'caller' | 'contact' | 'location' | 'hasKnowledge'>) =>
    after(known, told),
  WorkStarted: (known: Known, told: Stamp) => after(known, { ...told, state: 'Active' }),
  WorkSuspended: (known: Known, told: Stamp & { readonly state: Awaiting }) => after(known, told),
  IncidentResolved: (known: Known, told: Stamp) => after(known, { ...told, state: 'Resolved' }),
  ResolutionWithdrawn: (known: Known, told: Stamp) => after(known, { ...told, state: 'New' }),
  IncidentReopened: (known: Known, told: Telling<'state' | 'reopenings'>) => after(known, told),
  IncidentClosed: (known: Known, told: Stamp) => after(known, { ...told, state: 'Closed' }),
  SlaMissed: (known: Known, told: Stamp) => after(known, { ...told, isWithinSla: false }),
  /** A report that says nothing new: somebody saved a note, or the system did something of its own. */
  IncidentTouched: (known: Known, told: Stamp) => after(known, told),
  /** It has waited for too long. No report tells that: time does. */
  IncidentEscalated: (known: Known, { since }: Escalation) => ({
    ...known,
    escalated: since,
    escalations: known.escalations + 1,
    events: known.events + 1,
  }),
}

/** What it waited for, how urgent it was, and the report with which that wait began. */
interface Escalation {
  readonly since: number
  readonly state: IncidentState
  readonly priority: number
}

/** `at` stays in the event: nothing is decided by it. An event that tells a state tells that it came to it. */
function after(known: Known, { at: _at, ...told }: Stamp & Partial<Facts & Opening>): Known {
  const updates = told.update === known.update ? known.updates : known.updates + 1
  const since = told.state === undefined ? known.since : told.update
  return { ...known, ...told, since, updates, events: known.events + 1 }
}
