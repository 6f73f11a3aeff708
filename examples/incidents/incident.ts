/**
 * The aggregate `incident`: something that went wrong for a user, from the first call until it is closed for good.
 *
 * The desk's system reports again and again how an incident stands. The first report opens it; each later one is
 * compared with what is known, and what it changes becomes events in the desk's own words (facts.ts), unless it breaks
 * one of the desk's rules (rules.ts).
 *
 * Every accepted report leaves an event, `IncidentTouched` where it says nothing new. The log remembers commands by
 * their events; so a report that comes again after a restart either finds its first outcome there, or was refused, and
 * the rule 'out-of-date' refuses it once more. Nothing slips in late, and a second run changes nothing.
 */
import { defineAggregate, type Emit } from '../../src/index.ts'
import { incidentEvents, NOTHING_KNOWN, type Known, type Opening, type Stamp } from './facts.ts'
import { brokenRule, isIntelligible, type Intelligible, type Report } from './rules.ts'
import { isReopening, isWaiting } from './workflow.ts'

export const Incident = defineAggregate({
  type: 'incident',
  initialState: (): Known => NOTHING_KNOWN,
  stateVersion: 2,
  events: incidentEvents,
  commands: {
    /** The first that is heard of an incident, in whatever state it is by then. */
    open: (known, report: Report & Opening, { emit, reject }) => {
      if (!isIntelligible(report)) return reject('unknown-state', refused(known, report))
      if (known.state !== null) return reject('already-open', refused(known, report))
      const rule = brokenRule(known, report)
      if (rule !== undefined) return reject(rule, refused(known, report))
      const opened = emit.IncidentOpened({ ...report, isWithinSla: true })
      return report.isWithinSla ? opened : [opened, emit.SlaMissed(stampOf(report))]
    },
    /** How the incident stands now. */
    update: (known, report: Report, { emit, reject }) => {
      if (!isIntelligible(report)) return reject('unknown-state', refused(known, report))
      if (known.state === null) return reject('not-open', refused(known, report))
      const rule = brokenRule(known, report)
      return rule === undefined ? changes(known, report, emit) : reject(rule, refused(known, report))
    },
    /**
     * It has waited for too long since a report. Decided on what is known now: it may have moved on since somebody thought so,
     * and is escalated once for each time that it waits.
     */
    escalate: ({ state, since, escalated, priority }, wait: { readonly since: number }, { emit, reject }) => {
      if (state === null || !isWaiting(state) || since !== wait.since) return reject('moved-on', { state })
      if (escalated === since) return reject('already-escalated')
      return emit.IncidentEscalated({ since, state, priority })
    },
  },
  queries: {
    summary: ({ state, updates, events, escalations, reassignments, reopenings, isWithinSla }) => ({
      isOpened: state !== null,
      isClosed: state === 'Closed',
      state,
      updates,
      events,
      escalations,
      reassignments,
      reopenings,
      isWithinSla,
    }),
  },
})

type EmitIncident = Emit<typeof incidentEvents>

/** One event for each kind of thing that a report changes; at least one. */
function changes(known: Known, report: Intelligible, emit: EmitIncident) {
  const stamp = stampOf(report)
  const isNew = (...facts: readonly (keyof Intelligible & keyof Known)[]): boolean =>
    facts.some((fact) => report[fact] !== known[fact])
  const { group, assignee, impact, urgency, priority, category, subcategory } = report
  const { caller, contact, location, hasKnowledge, reassignments } = report
  const events = [
    isNew('group', 'reassignments') && emit.IncidentReassigned({ ...stamp, group, reassignments }),
    isNew('assignee') && emit.IncidentAssigned({ ...stamp, assignee }),
    isNew('impact', 'urgency') && emit.IncidentPrioritised({ ...stamp, impact, urgency, priority }),
    isNew('category', 'subcategory') && emit.IncidentClassified({ ...stamp, category, subcategory }),
    isNew('caller', 'contact', 'location', 'hasKnowledge') &&
      emit.IncidentAmended({ ...stamp, caller, contact, location, hasKnowledge }),
    isNew('state', 'reopenings') && step(known, report, emit),
    isNew('isWithinSla') && emit.SlaMissed(stamp),
  ].filter((event) => event !== false)
  return events.length === 0 ? emit.IncidentTouched(stamp) : events
}

/** The event for a new state; a count of reopenings that rose tells of one that was not seen itself. */
function step(known: Known, report: Intelligible, emit: EmitIncident) {
  const stamp = stampOf(report)
  const { state, reopenings } = report
  if (isReopening(known.state, state) || reopenings > known.reopenings) {
    return emit.IncidentReopened({ ...stamp, state, reopenings })
  }
  switch (state) {
    case 'New':
      return emit.ResolutionWithdrawn(stamp)
    case 'Active':
      return emit.WorkStarted(stamp)
    case 'Resolved':
      return emit.IncidentResolved(stamp)
    case 'Closed':
      return emit.IncidentClosed(stamp)
    case 'Awaiting User Info':
    case 'Awaiting Vendor':
    case 'Awaiting Problem':
    case 'Awaiting Evidence':
      return emit.WorkSuspended({ ...stamp, state })
  }
}

function stampOf({ update, at }: Stamp): Stamp {
  return { update, at }
}

/** What a rejection tells beside the rule. */
function refused(known: Known, { update, state }: Report) {
  return { update, from: known.state, to: state }
}
