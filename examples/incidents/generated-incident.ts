/**
 * One made-up incident, from its first report to its last. It goes from state to state about as often as the incidents
 * of the real desk did (README.md).
 */
import type { Dice } from './dice.ts'
import type { Facts } from './facts.ts'
import type { Row } from './rows.ts'
import { priorityOf, type IncidentState } from './workflow.ts'

/** A state that the desk's system reports now and then, and that does not exist. */
export const JUNK = '-100'

type Weights = { readonly [K in IncidentState]?: number }

/** How often an incident was first seen in a state, of 10,000. */
const FIRST: Weights = { New: 6_580, Active: 2_610, Resolved: 730, 'Awaiting User Info': 80 }

/** How often one state was reported after another, of about 1,000. What comes after Closed is for the few that go on. */
const NEXT: Readonly<Record<IncidentState, Weights>> = {
  New: { New: 550, Active: 220, Resolved: 174, 'Awaiting User Info': 53, 'Awaiting Vendor': 2, 'Awaiting Problem': 2 },
  Active: { Active: 586, Resolved: 311, 'Awaiting User Info': 94, 'Awaiting Vendor': 4, 'Awaiting Problem': 4 },
  'Awaiting User Info': { 'Awaiting User Info': 599, Resolved: 317, Active: 78, 'Awaiting Problem': 2 },
  'Awaiting Vendor': { 'Awaiting Vendor': 650, Resolved: 284, Active: 62, 'Awaiting Evidence': 13 },
  'Awaiting Problem': { 'Awaiting Problem': 432, Resolved: 322, 'Awaiting User Info': 118, Active: 75 },
  'Awaiting Evidence': { 'Awaiting Evidence': 368, Resolved: 447, 'Awaiting Vendor': 105, Active: 53 },
  Resolved: { Closed: 967, Resolved: 20, Active: 12, 'Awaiting User Info': 1 },
  Closed: { Closed: 600, Active: 400 },
}

/** How often a report that is no closing changes something, of 1. */
const CHANGES = { group: 0.25, assignee: 0.1, category: 0.015, urgency: 0.004, junk: 0.002 }
/** Closed incidents that go on; those still open when the desk's log ends; those that miss their SLA, seen at closing. */
const FATES = { goesOn: 0.004, staysOpen: 0.02, missesSla: 0.37 }
const ROWS_MAX = 58

const MINUTE_MS = 60_000
const STEP_MINUTES = 6 * 60
const CLOSING_MINUTES = 5 * 24 * 60

interface Standing extends Facts {
  readonly atMs: number
}

export function createIncident(dice: Dice, { number, openedMs }: { number: string; openedMs: number }): Row[] {
  let goesOn = dice.chance(FATES.goesOn)
  const rowsMax = dice.chance(FATES.staysOpen) ? 1 + dice.below(5) : ROWS_MAX
  const opening = { openedAt: isoMinute(openedMs), openedBy: dice.chance(0.03) ? null : key(dice, 200) }
  const rows: Row[] = []
  const tell = ({ atMs, ...facts }: Standing, state: string): void => {
    const report = { ...facts, at: isoMinute(atMs), state }
    rows.push({ line: 0, number, updatedBy: key(dice, 800), opening, report })
  }
  let standing = first(dice, openedMs + dice.below(20) * MINUTE_MS)
  tell(standing, standing.state)
  while (rows.length < rowsMax && (standing.state !== 'Closed' || goesOn)) {
    const next = following(dice, standing)
    if (standing.state === 'Closed' && next.state !== 'Closed') goesOn = false
    standing = next
    if (dice.chance(CHANGES.junk)) tell(standing, JUNK)
    tell(standing, standing.state)
  }
  return rows
}

function first(dice: Dice, atMs: number): Standing {
  const impact = dice.chance(0.94) ? 2 : 1 + dice.below(3)
  const urgency = dice.chance(0.96) ? 2 : 1 + dice.below(3)
  return {
    atMs,
    state: dice.pick(FIRST),
    group: dice.chance(0.1) ? null : key(dice, 80),
    assignee: dice.chance(0.2) ? null : key(dice, 230),
    impact,
    urgency,
    priority: priorityOf({ impact, urgency }),
    category: key(dice, 60),
    subcategory: key(dice, 250),
    caller: key(dice, 5_000),
    contact: dice.chance(0.99) ? 'Phone' : 'Self service',
    location: key(dice, 220),
    hasKnowledge: dice.chance(0.18),
    reassignments: 0,
    reopenings: 0,
    isWithinSla: true,
  }
}

function following(dice: Dice, was: Standing): Standing {
  const state = dice.pick(NEXT[was.state])
  const isClosing = state === 'Closed'
  const minutes = -Math.log(1 - dice.fraction()) * STEP_MINUTES + (isClosing ? CLOSING_MINUTES : 0)
  const atMs = was.atMs + minutes * MINUTE_MS
  if (isClosing) {
    return {
      ...was,
      atMs,
      state,
      isWithinSla: was.isWithinSla && (was.state === 'Closed' || !dice.chance(FATES.missesSla)),
    }
  }
  const wasDone = was.state === 'Resolved' || was.state === 'Closed'
  const reopenings = was.reopenings + (wasDone && state !== 'Resolved' ? 1 : 0)
  return { ...was, ...handedOn(dice, was), ...filedAnew(dice, was), atMs, state, reopenings }
}

function handedOn(dice: Dice, { group, assignee, reassignments }: Standing): Partial<Standing> {
  const to = dice.chance(CHANGES.group) ? key(dice, 80) : group
  const by = dice.chance(CHANGES.assignee) ? key(dice, 230) : assignee
  return { group: to, assignee: by, reassignments: reassignments + (to === group ? 0 : 1) }
}

function filedAnew(dice: Dice, { category, subcategory, impact, urgency }: Standing): Partial<Standing> {
  const nowUrgency = dice.chance(CHANGES.urgency) ? 1 + dice.below(3) : urgency
  const priority = priorityOf({ impact, urgency: nowUrgency })
  return dice.chance(CHANGES.category)
    ? { urgency: nowUrgency, priority, category: key(dice, 60), subcategory: key(dice, 250) }
    : { urgency: nowUrgency, priority, category, subcategory }
}

/** One of the desk's keys. */
function key(dice: Dice, count: number): string {
  return String(1 + dice.below(count))
}

/** As the desk writes its times: local, to the minute. */
function isoMinute(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16)}:00`
}
