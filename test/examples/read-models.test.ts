/** The example's read models, tried with the kit (docs/projections.md). */
import { expect, test } from 'vitest'
import { NOTHING_TOLD, type Facts } from '../../examples/incidents/facts.ts'
import { Incident } from '../../examples/incidents/incident.ts'
import { openByAssignee, openByGroup, OpenIncidents } from '../../examples/incidents/read-models/open-incidents.ts'
import { slaByPriority, SlaVerdicts } from '../../examples/incidents/read-models/sla-verdicts.ts'
import { timeByGroup, timeByPriority, TimeToResolve } from '../../examples/incidents/read-models/time-to-resolve.ts'
import { eventsOf, givenEvents, type StreamEvents } from '../../src/testing/index.ts'

const tell = eventsOf(Incident)
const OPENED_AT = '2026-03-29T00:00:00'

/** Minutes after everything was opened. The clocks of Europe went forward in that night; the desk's did not. */
const stamp = (minutes: number) => ({ update: minutes + 1, at: `2026-03-29T${clock(minutes)}:00` })
const clock = (minutes: number) =>
  [minutes / 60, minutes % 60].map((part) => String(Math.floor(part)).padStart(2, '0')).join(':')

const opened = (facts: Partial<Facts> = {}) =>
  tell.IncidentOpened({
    ...NOTHING_TOLD,
    state: 'New',
    group: '70',
    assignee: '17',
    openedAt: OPENED_AT,
    openedBy: null,
    ...stamp(0),
    ...facts,
  })
const handedTo = (group: string | null) => tell.IncidentReassigned({ ...stamp(1), group, reassignments: 1 })
const assignedTo = (assignee: string | null) => tell.IncidentAssigned({ ...stamp(1), assignee })
const prioritised = (priority: number) =>
  tell.IncidentPrioritised({ ...stamp(1), impact: 1, urgency: priority, priority })
const resolved = (minutes: number) => tell.IncidentResolved(stamp(minutes))
const closed = (minutes: number) => tell.IncidentClosed(stamp(minutes))
const reopened = (minutes: number, state: Facts['state'] = 'Active') =>
  tell.IncidentReopened({ ...stamp(minutes), state, reopenings: 1 })
const missed = (minutes: number) => tell.SlaMissed(stamp(minutes))

/** One incident's events; the number is its own. */
const incident = (number: number, ...events: StreamEvents[1][]): StreamEvents => [`incident/${number}`, ...events]

test('open-incidents: a group has those that were handed to it, and nobody has them when they are closed', async () => {
  const given = givenEvents(OpenIncidents, [
    incident(1, opened()),
    incident(2, opened({ assignee: null })),
    incident(3, opened({ group: '24' }), handedTo('70')),
    incident(4, opened(), handedTo(null), assignedTo(null)),
    incident(5, opened(), resolved(2)),
    incident(6, opened(), resolved(2), closed(3)),
  ])
  await given.thenQuery(openByGroup, [
    { group: '70', open: 4, unassigned: 1 },
    { group: null, open: 1, unassigned: 1 },
  ])
  await given.thenQuery(openByAssignee, [
    { assignee: '17', open: 3 },
    { assignee: null, open: 2 },
  ])
})

test('open-incidents: one that is reopened is with its last group and person again', async () => {
  const gone = incident(1, opened(), handedTo('24'), assignedTo('5'), closed(2))
  await givenEvents(OpenIncidents, [gone]).thenQuery(openByGroup, [])
  const back = givenEvents(OpenIncidents, [gone, incident(1, reopened(3))])
  await back.thenQuery(openByGroup, [{ group: '24', open: 1, unassigned: 0 }])
  await back.thenQuery(openByAssignee, [{ assignee: '5', open: 1 }])
  await givenEvents(OpenIncidents, [gone, incident(1, reopened(3), closed(4))]).thenQuery(openByGroup, [])
  // Nobody saw it open: it was reopened and closed between two reports.
  await givenEvents(OpenIncidents, [gone, incident(1, reopened(3, 'Closed'))]).thenQuery(openByGroup, [])
  await givenEvents(OpenIncidents, [incident(1, opened(), reopened(3, 'Closed'))]).thenQuery(openByGroup, [])
})

test('time-to-resolve: percentiles are exact, by priority and by group', async () => {
  const tenth = (number: number): StreamEvents => incident(number, opened(), resolved(number))
  const given = givenEvents(TimeToResolve, [
    ...[3, 9, 1, 7, 5, 2, 10, 4, 8, 6].map(tenth),
    incident(11, opened({ group: null }), prioritised(1), resolved(150)),
    incident(12, opened({ group: '24' }), handedTo('5'), resolved(90)),
    incident(13, opened()),
  ])
  const ten = { resolved: 10, mean: 330, median: 300, p90: 540, max: 600 }
  const one = (minutes: number) => {
    const seconds = 60 * minutes
    return { resolved: 1, mean: seconds, median: seconds, p90: seconds, max: seconds }
  }
  await given.thenQuery(timeByGroup, [
    { group: null, ...one(150) },
    { group: '5', ...one(90) },
    { group: '70', ...ten },
  ])
  await given.thenQuery(timeByPriority, (rows) =>
    expect(rows).toMatchObject([
      { priority: 1, resolved: 1, median: 9_000 },
      { priority: 3, resolved: 11, median: 360, p90: 600, max: 5_400 },
    ]),
  )
})

test.each<[string, StreamEvents[1][], number | undefined]>([
  ['that is not resolved has none', [opened()], undefined],
  ['that was resolved first of all', [opened({ state: 'Resolved', ...stamp(7) })], 7],
  ['that was closed afterwards', [opened(), resolved(10), closed(50)], 10],
  ['that was closed at once', [opened(), closed(50)], 50],
  ['whose resolution was withdrawn', [opened(), resolved(10), tell.ResolutionWithdrawn(stamp(11))], undefined],
  ['that was reopened', [opened(), resolved(10), closed(50), reopened(60)], undefined],
  ['that was reopened and resolved again', [opened(), resolved(10), closed(50), reopened(60), resolved(70)], 70],
  ['whose second resolution alone was seen', [opened(), resolved(10), reopened(60, 'Resolved'), closed(80)], 60],
  ['whose second closing alone was seen', [opened(), resolved(10), closed(50), reopened(60, 'Closed')], 60],
])('time-to-resolve: that of an incident %s', async (_what, events, minutes) => {
  const expected = minutes === undefined ? [] : [expect.objectContaining({ resolved: 1, max: 60 * minutes }) as unknown]
  await givenEvents(TimeToResolve, [incident(1, ...events)]).thenQuery(timeByPriority, (rows) =>
    expect(rows).toEqual(expected),
  )
})

test.each<[string, StreamEvents[1][], { met: number; breached: number } | undefined]>([
  ['that is open has none', [opened()], undefined],
  ['that is open has none, though it is late', [opened(), missed(1)], undefined],
  ['closed in time', [opened(), closed(2)], { met: 1, breached: 0 }],
  ['found late when it was closed', [opened(), closed(2), missed(2)], { met: 0, breached: 1 }],
  ['late before it was closed', [opened(), missed(1), closed(2)], { met: 0, breached: 1 }],
  ['that was reopened has none any more', [opened(), closed(2), reopened(3)], undefined],
  ['closed in time once more', [opened(), closed(2), reopened(3), closed(4)], { met: 1, breached: 0 }],
  ['late when it was closed again', [opened(), closed(2), reopened(3), closed(4), missed(4)], { met: 0, breached: 1 }],
  ['whose second closing alone was seen', [opened(), reopened(3, 'Closed')], { met: 1, breached: 0 }],
])('sla-verdicts: that of an incident %s', async (_what, events, verdict) => {
  await givenEvents(SlaVerdicts, [incident(1, ...events)]).thenQuery(
    slaByPriority,
    verdict === undefined ? [] : [{ priority: 3, ...verdict }],
  )
})

test('sla-verdicts: they are of the priority that an incident has in the end', async () => {
  await givenEvents(SlaVerdicts, [
    incident(1, opened(), closed(2)),
    incident(2, opened({ priority: 1 }), missed(1), closed(2)),
    incident(3, opened(), prioritised(1), closed(2)),
  ]).thenQuery(slaByPriority, [
    { priority: 1, met: 1, breached: 1 },
    { priority: 3, met: 1, breached: 0 },
  ])
})
