/**
 * The life of an incident at the service desk: the states it can be in, and which of them may follow which. Found in
 * the desk's own records (README.md). Pure tables; the aggregate decides with them.
 */
export type Awaiting = 'Awaiting User Info' | 'Awaiting Vendor' | 'Awaiting Problem' | 'Awaiting Evidence'
export type IncidentState = 'New' | 'Active' | Awaiting | 'Resolved' | 'Closed'

const AWAITING: readonly IncidentState[] = [
  'Awaiting User Info',
  'Awaiting Vendor',
  'Awaiting Problem',
  'Awaiting Evidence',
]
const IN_WORK: readonly IncidentState[] = ['Active', ...AWAITING]

/** Once somebody has taken it up, nothing makes an incident new again but a resolution that is withdrawn at once. */
const FROM_WORK: readonly IncidentState[] = [...IN_WORK, 'Resolved', 'Closed']

/** What may follow a state, beside the state itself. */
const FOLLOWING: Readonly<Record<IncidentState, readonly IncidentState[]>> = {
  New: FROM_WORK,
  Active: FROM_WORK,
  'Awaiting User Info': FROM_WORK,
  'Awaiting Vendor': FROM_WORK,
  'Awaiting Problem': FROM_WORK,
  'Awaiting Evidence': FROM_WORK,
  Resolved: ['New', ...IN_WORK, 'Closed'],
  Closed: IN_WORK,
}

export function isIncidentState(text: string): text is IncidentState {
  return Object.hasOwn(FOLLOWING, text)
}

/** Whether an incident can go from one state to the other. One that nobody knows yet (`null`) cannot begin as closed. */
export function canFollow(from: IncidentState | null, to: IncidentState): boolean {
  if (from === null) return to !== 'Closed'
  return from === to || FOLLOWING[from].includes(to)
}

/** Whether nobody works on it: it has not been taken up yet, or somebody else has to do something first. */
export function isWaiting(state: IncidentState): boolean {
  return state === 'New' || AWAITING.includes(state)
}

/** Whether work on an incident that was done with begins again. Withdrawing a resolution is not counted as that. */
export function isReopening(from: IncidentState | null, to: IncidentState): boolean {
  return (from === 'Resolved' || from === 'Closed') && IN_WORK.includes(to)
}

/** Impact and urgency give the priority: 1 is critical, 4 is low. */
export function priorityOf({ impact, urgency }: { readonly impact: number; readonly urgency: number }): number {
  return Math.min(4, impact + urgency - 1)
}
