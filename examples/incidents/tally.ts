/** The numbers as the aggregates know them: each incident is asked, and nobody else. */
import type { Node } from '../../src/index.ts'
import { Incident } from './incident.ts'
import { persist } from './persist.ts'
import { Window } from './window.ts'

export interface Tally {
  events: number
  incidents: number
  closed: number
  reassignments: number
  /** Incidents on which work began again at least once. */
  reopened: number
  /** Incidents that are within their SLA. */
  slaMet: number
}

/** Queries under way at once. */
const WINDOW = 2_000

/** Asks each of these incidents how it stands. */
export async function tally(node: Node, numbers: readonly string[]): Promise<Tally> {
  const sum: Tally = { events: 0, incidents: 0, closed: 0, reassignments: 0, reopened: 0, slaMet: 0 }
  const window = new Window(WINDOW)
  const answers: Promise<void>[] = []
  for (const number of numbers) {
    await window.enter()
    answers.push(add(node, number, sum).finally(() => window.leave()))
  }
  await Promise.all(answers)
  return sum
}

async function add(node: Node, number: string, sum: Tally): Promise<void> {
  const summary = await persist(() => node.ref(Incident, number).query('summary'))
  if (!summary.isOpened) return
  sum.events += summary.events
  sum.incidents += 1
  sum.closed += summary.isClosed ? 1 : 0
  sum.reassignments += summary.reassignments
  sum.reopened += summary.reopenings > 0 ? 1 : 0
  sum.slaMet += summary.isWithinSla ? 1 : 0
}
