/**
 * Whatever the desk reports: the read models that projections make of the aggregate's events are those that the accepted
 * rows alone come to.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { NOTHING_TOLD } from '../../examples/incidents/facts.ts'
import { Incident } from '../../examples/incidents/incident.ts'
import { ExpectedReadModels } from '../../examples/incidents/read-models/expected.ts'
import { openByAssignee, openByGroup, OpenIncidents } from '../../examples/incidents/read-models/open-incidents.ts'
import { slaByPriority, SlaVerdicts } from '../../examples/incidents/read-models/sla-verdicts.ts'
import { timeByGroup, timeByPriority, TimeToResolve } from '../../examples/incidents/read-models/time-to-resolve.ts'
import type { Row } from '../../examples/incidents/rows.ts'
import { isIncidentState, isReopening, priorityOf, type IncidentState } from '../../examples/incidents/workflow.ts'
import { decideOnce, initialState } from '../../src/testing/decision.ts'
import { givenEvents, type StreamEvents } from '../../src/testing/index.ts'
import { inTime } from '../in-time.ts'

const OPENED_MS = Date.UTC(2026, 2, 28, 12)

/** What changes from one report of an incident to the next. */
const someChange = fc.record({
  incident: fc.nat(3),
  minutes: fc.nat(600),
  state: fc.constantFrom<IncidentState | '-100'>(
    'New',
    'Active',
    'Awaiting Vendor',
    'Resolved',
    'Closed',
    'Closed',
    '-100',
  ),
  group: fc.option(fc.constantFrom('70', '24', null), { nil: undefined }),
  assignee: fc.option(fc.constantFrom('17', '5', null), { nil: undefined }),
  urgency: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  isLate: fc.nat(9).map((die) => die === 0),
  /** Happened between two reports. */
  unseenReopenings: fc.nat(9).map((die) => (die === 0 ? 1 : 0)),
})
type Change = Parameters<Parameters<typeof someChange.map>[0]>[0]

type Report = Row['report']
const NEW: Report = { ...NOTHING_TOLD, at: '', state: 'New' }

/** A report that keeps most rules: counts go up as they should. */
function reportAfter(last: Report, change: Change, at: string): Report {
  const { state, group = last.group, assignee = last.assignee, urgency = last.urgency } = change
  const isReopened = isIncidentState(last.state) && isIncidentState(state) && isReopening(last.state, state)
  return {
    ...last,
    at,
    state,
    group,
    assignee,
    urgency,
    priority: priorityOf({ impact: last.impact, urgency }),
    reassignments: last.reassignments + (group === last.group ? 0 : 1),
    reopenings: last.reopenings + (isReopened ? 1 : 0) + change.unseenReopenings,
    isWithinSla: last.isWithinSla && !change.isLate,
  }
}

/** What the aggregates make of reports: the rows that they accept, and their events. */
function desk(changes: readonly Change[]) {
  const incidents = new Map<string, { state: unknown; last: Report; update: number }>()
  const [accepted, history]: [Row[], StreamEvents[]] = [[], []]
  let nowMs = OPENED_MS
  for (const change of changes) {
    const number = String(change.incident)
    const known = incidents.get(number) ?? { state: initialState(Incident), last: NEW, update: 0 }
    nowMs += change.minutes * 60_000
    const report = reportAfter(known.last, change, new Date(nowMs).toISOString().slice(0, 19))
    const opening = { openedAt: new Date(OPENED_MS).toISOString().slice(0, 19), openedBy: null }
    const update = known.update + 1
    incidents.set(number, { ...known, update })
    const outcome = decideOnce(Incident, known.state, {
      name: known.last === NEW ? 'open' : 'update',
      payload: { ...report, ...(known.last === NEW && opening), update },
      id: number,
      commandId: '',
      metadata: {},
      now: 0,
      draws: () => ({ newId: () => '', random: () => 0 }),
    })
    if (outcome.kind !== 'accepted') continue
    incidents.set(number, { state: outcome.state, last: report, update })
    accepted.push({ line: 0, number, updatedBy: null, opening, report })
    history.push([`incident/${number}`, ...outcome.events])
  }
  return { accepted, history }
}

const stories = fc.array(someChange, { minLength: 1, maxLength: 60, size: 'max' })

test('read models are what the accepted rows come to', { timeout: 180_000 }, async () => {
  const property = fc.asyncProperty(stories, async (changes) => {
    const { accepted, history } = desk(changes)
    const rows = new ExpectedReadModels()
    for (const row of accepted) rows.add(row)
    const expected = rows.readModels()
    await givenEvents(OpenIncidents, history).thenQuery(
      (model) => [openByGroup(model), openByAssignee(model)] as const,
      [expected.openByGroup, expected.openByAssignee],
    )
    await givenEvents(TimeToResolve, history).thenQuery(
      (model) => [timeByPriority(model), timeByGroup(model)] as const,
      [expected.timeByPriority, expected.timeByGroup],
    )
    await givenEvents(SlaVerdicts, history).thenQuery(slaByPriority, expected.slaByPriority)
  })
  await fc.assert(property, { numRuns: 20, ...inTime() })
})

// Of one seed: by chance a few stories may well be without the rarest of them.
test('such reports lead to events of every kind', () => {
  const seen: Record<string, number> = {}
  for (const changes of fc.sample(stories, { seed: 1, numRuns: 20 })) {
    for (const [, ...events] of desk(changes).history) {
      for (const { type } of events) seen[type] = (seen[type] ?? 0) + 1
    }
  }
  const events = [
    'IncidentReassigned',
    'IncidentPrioritised',
    'IncidentReopened',
    'ResolutionWithdrawn',
    'SlaMissed',
    'IncidentClosed',
  ]
  for (const type of events) expect(seen[type], type).toBeGreaterThan(0)
})
