/**
 * The rules that every report of the desk must keep, in the words of the desk: found in its records, where they hold
 * without exception (README.md). A report that breaks one is refused under the rule's name.
 */
import type { Facts, Known, Stamp } from './facts.ts'
import { canFollow, isIncidentState, isReopening, priorityOf } from './workflow.ts'

/** How an incident stands, as the desk's system tells it: the state may be anything. */
export type Report = Stamp & Omit<Facts, 'state'> & { readonly state: string }
/** A report that speaks of a state that exists. */
export type Intelligible = Stamp & Facts

type Rule = (known: Known, report: Intelligible) => boolean

const RULES = {
  /**
   * Reports come in the desk's order. One that was refused is refused again when it comes after later ones: it has
   * left no event by which it would be remembered.
   */
  'out-of-date': (known, report) => report.update > known.update,
  'impossible-step': (known, report) => canFollow(known.state, report.state),
  /** Priority is not a matter of opinion: impact and urgency make it. */
  'wrong-priority': (_known, report) => report.priority === priorityOf(report),
  /**
   * Counts never fall. They may rise by more than one: a report that was refused takes its count with it, and the next
   * one brings it.
   */
  'count-fell': (known, report) => report.reassignments >= known.reassignments && report.reopenings >= known.reopenings,
  /** A change of group is counted. (A count without a change is one that went away and came back in between.) */
  'reassignment-not-counted': (known, report) =>
    known.state === null || report.group === known.group || report.reassignments > known.reassignments,
  /** Beginning work again is counted. */
  'reopening-not-counted': (known, report) =>
    !isReopening(known.state, report.state) || report.reopenings > known.reopenings,
  /** What was once too late stays too late. */
  'sla-regained': (known, report) => known.isWithinSla || !report.isWithinSla,
  /** A closed incident can be filed elsewhere, and touched; to work on it, reopen it. */
  closed: (known, report) =>
    known.state !== 'Closed' ||
    report.state !== 'Closed' ||
    (report.group === known.group && report.assignee === known.assignee && report.priority === known.priority),
} satisfies Readonly<Record<string, Rule>>

export type RuleName = keyof typeof RULES

export function isIntelligible<R extends Report>(report: R): report is R & Intelligible {
  return isIncidentState(report.state)
}

/** The first rule that a report breaks. */
export function brokenRule(known: Known, report: Intelligible): RuleName | undefined {
  const names = Object.keys(RULES) as RuleName[]
  return names.find((name) => !RULES[name](known, report))
}
