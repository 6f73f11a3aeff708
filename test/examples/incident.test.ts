/** The desk's rules, and what must hold whatever the desk reports, tried with the kit (docs/testing.md). */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { NOTHING_KNOWN, type Known, type Opening } from '../../examples/incidents/facts.ts'
import { Incident } from '../../examples/incidents/incident.ts'
import type { Report } from '../../examples/incidents/rules.ts'
import { isIncidentState, priorityOf } from '../../examples/incidents/workflow.ts'
import type { RejectionsOf } from '../../src/index.ts'
import {
  checkInvariants,
  eventsOf,
  given,
  rejected,
  type ExpectedEvent,
  type GivenEvent,
} from '../../src/testing/index.ts'

const AT = '2026-01-05T08:00:00'
const OPENING: Opening = { openedAt: '2026-01-05T07:50:00', openedBy: '8' }
const FACTS = {
  state: 'New',
  group: '70',
  assignee: null,
  impact: 2,
  urgency: 2,
  priority: 3,
  category: '55',
  subcategory: '170',
  caller: '2403',
  contact: 'Phone',
  location: '143',
  hasKnowledge: true,
  reassignments: 0,
  reopenings: 0,
  isWithinSla: true,
} as const
const first = { ...FACTS, ...OPENING, update: 1, at: AT }

/** A report that tells the facts of a new incident, but for a change. */
function report(update: number, change: Partial<Report> = {}): Report {
  return { ...FACTS, at: AT, ...change, update }
}

const tell = eventsOf(Incident)
const stamp = (update: number) => ({ update, at: AT })
const OPENED = tell.IncidentOpened(first)
const RESOLVED = tell.IncidentResolved(stamp(2))
const CLOSED = tell.IncidentClosed(stamp(3))

type Events = readonly GivenEvent<typeof Incident>[]
type Told = ExpectedEvent<typeof Incident, 'update'>

test('the first report opens it, in whatever state it is by then', () => {
  const late = { ...first, state: 'Resolved', isWithinSla: false } as const
  given(Incident)
    .when('open', late)
    .then([tell.IncidentOpened({ ...late, isWithinSla: true }), tell.SlaMissed(stamp(1))])
    .thenState({
      ...NOTHING_KNOWN,
      ...FACTS,
      ...OPENING,
      state: 'Resolved',
      isWithinSla: false,
      since: 1,
      update: 1,
      updates: 1,
      events: 2,
    })
  given(Incident)
    .when('open', first)
    .then(OPENED)
    .thenState((known) =>
      expect(Incident.queries.summary(known)).toEqual({
        isOpened: true,
        isClosed: false,
        state: 'New',
        updates: 1,
        events: 1,
        escalations: 0,
        reassignments: 0,
        reopenings: 0,
        isWithinSla: true,
      }),
    )
})

test('it is opened once, and not as closed', () => {
  given(Incident, [OPENED])
    .when('open', { ...first, update: 2 })
    .then(rejected('already-open'))
  given(Incident)
    .when('open', { ...first, state: 'Closed' })
    .then(rejected('impossible-step', { update: 1, from: null, to: 'Closed' }))
})

test.each<[string, Partial<Report>, readonly Told[]]>([
  [
    'another group',
    { group: '24', reassignments: 1 },
    [tell.IncidentReassigned({ ...stamp(2), group: '24', reassignments: 1 })],
  ],
  [
    'a round trip to another group',
    { reassignments: 1 },
    [tell.IncidentReassigned({ ...stamp(2), group: '70', reassignments: 1 })],
  ],
  ['someone to work on it', { assignee: '17' }, [tell.IncidentAssigned({ ...stamp(2), assignee: '17' })]],
  [
    'another impact',
    { impact: 1, priority: 2 },
    [tell.IncidentPrioritised({ ...stamp(2), impact: 1, urgency: 2, priority: 2 })],
  ],
  [
    'another category',
    { category: '20' },
    [tell.IncidentClassified({ ...stamp(2), category: '20', subcategory: '170' })],
  ],
  [
    'another place',
    { location: '204' },
    [tell.IncidentAmended({ ...stamp(2), caller: '2403', contact: 'Phone', location: '204', hasKnowledge: true })],
  ],
  ['that it waits', { state: 'Awaiting Vendor' }, [tell.WorkSuspended({ ...stamp(2), state: 'Awaiting Vendor' })]],
  ['that it is solved too late', { state: 'Resolved', isWithinSla: false }, [RESOLVED, tell.SlaMissed(stamp(2))]],
  ['that it is closed', { state: 'Closed' }, [tell.IncidentClosed(stamp(2))]],
  ['nothing new', {}, [tell.IncidentTouched(stamp(2))]],
  [
    'much at once',
    { state: 'Active', group: '24', reassignments: 1, assignee: '17', subcategory: '1' },
    [
      tell.IncidentReassigned({ ...stamp(2), group: '24', reassignments: 1 }),
      tell.IncidentAssigned({ ...stamp(2), assignee: '17' }),
      tell.IncidentClassified({ ...stamp(2), category: '55', subcategory: '1' }),
      tell.WorkStarted(stamp(2)),
    ],
  ],
])('a report tells %s in the words of the desk', (_what, change, events) => {
  given(Incident, [OPENED])
    .when('update', report(2, change))
    .then(events)
    .thenState((known) => expect(known).toMatchObject({ ...change, update: 2, updates: 2, events: 1 + events.length }))
})

test.each<[string, Events, Partial<Report>, Told]>([
  [
    'was resolved',
    [RESOLVED],
    { state: 'Active', reopenings: 1 },
    tell.IncidentReopened({ ...stamp(4), state: 'Active', reopenings: 1 }),
  ],
  [
    'was closed',
    [RESOLVED, CLOSED],
    { state: 'Active', reopenings: 1 },
    tell.IncidentReopened({ ...stamp(4), state: 'Active', reopenings: 1 }),
  ],
  [
    'was resolved, to ask its user',
    [RESOLVED],
    { state: 'Awaiting User Info', reopenings: 1 },
    tell.IncidentReopened({ ...stamp(4), state: 'Awaiting User Info', reopenings: 1 }),
  ],
  ['was resolved by mistake', [RESOLVED], { state: 'New' }, tell.ResolutionWithdrawn(stamp(4))],
])('one that %s can go on', (_what, before, change, event) => {
  given(Incident, [OPENED, ...before])
    .when('update', report(4, change))
    .then(event)
})

const ACTIVE = tell.WorkStarted(stamp(2))
const LATE = tell.SlaMissed(stamp(2))
const HANDED_ON = tell.IncidentReassigned({ ...stamp(2), group: '70', reassignments: 1 })
const REOPENED = tell.IncidentReopened({ ...stamp(2), state: 'Active', reopenings: 1 })

test.each<[RejectionsOf<typeof Incident, 'update'>['code'], Events, Partial<Report>]>([
  ['unknown-state', [OPENED], { state: '-100' }],
  ['unknown-state', [OPENED], { state: 'toString' }],
  ['not-open', [], {}],
  ['impossible-step', [OPENED, ACTIVE], { state: 'New' }],
  ['impossible-step', [OPENED, CLOSED], { state: 'Resolved' }],
  ['wrong-priority', [OPENED], { priority: 1 }],
  ['count-fell', [OPENED, HANDED_ON], { reassignments: 0 }],
  ['count-fell', [OPENED, REOPENED], { state: 'Active', reopenings: 0 }],
  ['reassignment-not-counted', [OPENED], { group: '24' }],
  ['reopening-not-counted', [OPENED, RESOLVED], { state: 'Active' }],
  ['sla-regained', [OPENED, LATE], { isWithinSla: true }],
  ['closed', [OPENED, CLOSED], { state: 'Closed', assignee: '17' }],
])('a report is refused under the rule it breaks: %s', (code, before, change) => {
  given(Incident, before).when('update', report(4, change)).then(rejected(code))
})

test('nothing is lost by a refused report, because the next one tells its facts again', () => {
  const moved = { group: '24', reassignments: 1 }
  given(Incident, [OPENED])
    .when('update', report(2, { ...moved, state: '-100' }))
    .then(rejected('unknown-state', { update: 2, from: 'New', to: '-100' }))
  given(Incident, [OPENED])
    .when('update', report(3, { ...moved, state: 'Active' }))
    .then([tell.IncidentReassigned({ ...stamp(3), ...moved }), tell.WorkStarted(stamp(3))])
})

test('what was refused is refused again when it comes later, though it would fit by then', () => {
  const early = report(3, { state: 'New', category: '20' })
  given(Incident, [OPENED, RESOLVED])
    .when('update', { ...early, priority: 1 })
    .then(rejected('wrong-priority'))
  given(Incident, [OPENED, RESOLVED, tell.IncidentTouched(stamp(4))])
    .when('update', early)
    .then(rejected('out-of-date'))
})

test('it is escalated where it waits still, once for each time that it waits', () => {
  const active = rejected('moved-on', { state: 'Active' as const })
  const waits = tell.WorkSuspended({ ...stamp(3), state: 'Awaiting Vendor' })
  const escalated = tell.IncidentEscalated({ since: 1, state: 'New', priority: 3 })
  const when = (before: Events, since: number) => given(Incident, before).when('escalate', { since })
  const known = { escalations: 1, escalated: 1, update: 1, updates: 1, events: 2 }
  when([OPENED], 1)
    .then(escalated)
    .thenState((now) => expect(now).toMatchObject(known))
  when([OPENED, tell.IncidentTouched(stamp(2))], 1).then(escalated)
  when([OPENED, escalated], 1).then(rejected('already-escalated'))
  when([OPENED, ACTIVE], 1).then(active)
  when([OPENED, ACTIVE], 2).then(active)
  when([OPENED, escalated, waits], 1).then(rejected('moved-on', { state: 'Awaiting Vendor' as const }))
  when([OPENED, escalated, waits], 3).then(tell.IncidentEscalated({ since: 3, state: 'Awaiting Vendor', priority: 3 }))
  when([], 0).then(rejected('moved-on', { state: null }))
})

/** Reports as a desk could make them, in any order: most of them break a rule, and enough do not. */
const someReport = fc
  .record({
    update: fc.integer({ min: 1, max: 12 }),
    at: fc.constant(AT),
    state: fc.constantFrom('New', 'Active', 'Awaiting Vendor', 'Resolved', 'Closed', '-100'),
    group: fc.constantFrom('70', '24', null),
    assignee: fc.constantFrom('17', null),
    impact: fc.integer({ min: 1, max: 3 }),
    urgency: fc.integer({ min: 1, max: 3 }),
    isWithinSla: fc.boolean(),
    reassignments: fc.integer({ min: 0, max: 3 }),
    reopenings: fc.integer({ min: 0, max: 2 }),
  })
  .map((some): Report => ({ ...FACTS, ...some, priority: priorityOf(some) }))

test('whatever the desk reports, and whatever befalls the machine, what is known makes sense', async () => {
  const grew = (before: Known | undefined, known: Known, count: 'reassignments' | 'reopenings' | 'update'): boolean =>
    known[count] >= (before?.[count] ?? 0)
  await checkInvariants(Incident, {
    commands: {
      open: someReport.map((some) => ({ ...some, ...OPENING })),
      update: someReport,
      escalate: fc.record({ since: fc.integer({ min: 0, max: 12 }) }),
    },
    invariants: {
      'it is in a state that exists': ({ state }) => state === null || isIncidentState(state),
      'impact and urgency make the priority': (known) => known.priority === priorityOf(known),
      'counts never fall': (known, { before }) =>
        grew(before, known, 'reassignments') && grew(before, known, 'reopenings') && grew(before, known, 'update'),
      'an SLA that was missed stays missed': ({ isWithinSla }, { before }) =>
        before?.isWithinSla !== false || !isWithinSla,
      'an SLA is missed once': (_known, { events }) => events.filter(({ type }) => type === 'SlaMissed').length <= 1,
      'it is escalated once for each time that it waits': (_known, { events }) => {
        const waits = events.flatMap((each) => (each.type === 'IncidentEscalated' ? [each.data.since] : []))
        return new Set(waits).size === waits.length
      },
      'it is opened first, and once': (_known, { events }) =>
        events.every(({ type }, i) => (type === 'IncidentOpened') === (i === 0)),
      'the summary counts the events': (_known, { events, query }) => query('summary').events === events.length,
    },
  })
})
