/**
 * A story of commands through the decider alone, one after the other. At each command the state in memory is held
 * against the one that recovery would come to, from the newest snapshot and the events after it, both as the log gives
 * them back; and each decision against the same decision made again.
 */
import { evolve } from '../actor/decide.ts'
import type { Aggregate, EmittedEvent } from '../aggregate/aggregate.ts'
import { deriveId } from '../log/identity.ts'
import {
  copyOf,
  decideOnce,
  decideTomorrow,
  describeOutcome,
  initialState,
  outcomeDifference,
  payloadOf,
  plainProblem,
  replay,
  type Outcome,
  type Request,
} from './decision.ts'
import { describeNamed } from './describe.ts'
import { difference } from './difference.ts'
import { Broken, checkInvariantsOf, type Invariants } from './invariant.ts'
import { SeededRandom } from './random.ts'
import { idOf, STEP_MS, type CommandStep, type Story } from './story.ts'
import type { Tally } from './tally.ts'
import { describePassing, describeStart, type Transcript } from './transcript.ts'

export interface Telling {
  readonly aggregate: Aggregate
  readonly invariants: Invariants<Aggregate>
  readonly story: Story
  readonly transcript: Transcript
  /** Counts what happens. */
  readonly tally: Tally
}

/** One aggregate as a decider keeps it. */
interface Standing {
  readonly id: string
  state: unknown
  /** The state before the last event. */
  before: unknown
  events: readonly EmittedEvent[]
  /** What the newest snapshot holds, as it reads back. */
  saved: { readonly state: unknown; readonly version: number }
}

interface Decision {
  readonly state: unknown
  readonly request: Request
  readonly outcome: Outcome
}

const FIRST_MOMENT = Date.UTC(2026, 0, 1)

/** @throws Broken */
export function runDecider(telling: Telling): void {
  const { aggregate, story, transcript, tally } = telling
  const standings = new Map<string, Standing>()
  const decisions: Decision[] = []
  transcript.add('given', () => describeStart(aggregate, story))
  let now = FIRST_MOMENT - STEP_MS
  for (const [i, step] of story.steps.entries()) {
    now += STEP_MS
    if (step.kind === 'pass') {
      now += step.ms
      tally.passes += 1
      transcript.add('and', () => describePassing(step.ms))
    }
    if (step.kind !== 'command') continue
    const id = idOf(step.aggregate)
    const standing = standings.get(id) ?? begin(telling, id)
    standings.set(id, standing)
    decisions.push(take(telling, standing, requestOf(telling, step, { i, now })))
  }
  for (const standing of standings.values()) recover(telling, standing)
  // What a handler keeps elsewhere than in the state has changed by now, if there is such a thing.
  for (const { state, request, outcome } of decisions.toReversed()) {
    const again = outcomeDifference(outcome, decideTomorrow(aggregate, state, request))
    if (again !== undefined) throw new Broken(impure(request, again))
  }
}

export function impure({ name }: Request, outcomes: string): string {
  return `'${name}' is not pure: decided again, on the same state and payload, it came to something else:\n${outcomes}`
}

export function forgetful({ name }: Request, how: string, outcomes: string): string {
  return `'${name}' depends on something that the log does not keep. On the state in memory, and on ${how}, it came to:\n${outcomes}`
}

function requestOf(
  { aggregate, transcript }: Telling,
  step: CommandStep,
  { i, now }: { i: number; now: number },
): Request {
  const { name, metadata } = step
  const id = idOf(step.aggregate)
  transcript.add('when', () => `${id}  ${describeNamed(name, step.payload)}`)
  return {
    name,
    payload: taken(aggregate, step),
    id,
    commandId: deriveId('story', i),
    metadata,
    now,
    draws: () => {
      const random = new SeededRandom(i + 1)
      let last = 0
      return {
        newId: () => deriveId('story', i, (last += 1)),
        random: () => random.next() / 2 ** 32,
      }
    },
  }
}

function taken(aggregate: Aggregate, { name, payload }: CommandStep): unknown {
  try {
    return payloadOf(aggregate, name, payload)
  } catch (error) {
    throw new Broken(`the arbitrary of '${name}' gave what nobody can send: ${String(error)}`)
  }
}

function begin(telling: Telling, id: string): Standing {
  const { aggregate } = telling
  const state = initialState(aggregate)
  const problem = difference(state, initialState(aggregate))
  if (problem !== undefined) throw new Broken(`initialState is not pure: two of them differ: ${problem}`)
  checkState(telling, { id, state, before: undefined, events: [] })
  return { id, state, before: undefined, events: [], saved: { state, version: 0 } }
}

function take(telling: Telling, standing: Standing, request: Request): Decision {
  const { aggregate, transcript } = telling
  const { state } = standing
  const outcome = decideOnce(aggregate, state, request)
  transcript.add('then', () => describeOutcome(outcome))
  telling.tally.add(request.name, outcome)
  if (outcome.kind === 'failed') throw new Broken(`'${request.name}' failed: ${outcome.error.message}`)
  const again = outcomeDifference(outcome, decideTomorrow(aggregate, state, request))
  if (again !== undefined) throw new Broken(impure(request, again))

  const recovered = recover(telling, standing)
  const restored = outcomeDifference(outcome, decideOnce(aggregate, recovered.state, request))
  if (restored !== undefined) {
    throw new Broken(forgetful(request, recovered.how, restored))
  }
  if (outcome.kind === 'accepted') advance(telling, standing, outcome.events)
  return { state, request, outcome }
}

/** The state that a cold start would come to. It must be as good as the one in memory. */
function recover(telling: Telling, { id, state, before, events, saved }: Standing): { state: unknown; how: string } {
  const { aggregate, invariants, story } = telling
  const how =
    saved.version === 0 || story.snapshotEvery === false
      ? 'the state that is replayed from its events'
      : `the state from the snapshot at version ${saved.version}${saved.version === events.length ? '' : ' and the events after it'}`
  const recovered = replay(aggregate, saved.state, events.slice(saved.version))
  const problem = difference(state, recovered)
  if (problem !== undefined)
    throw new Broken(`${how} is not the one in memory. In memory, and read back:\n  ${problem}`)
  checkInvariantsOf(aggregate, invariants, { id, state: recovered, before, events }, `, in ${how}`)
  return { state: recovered, how }
}

function advance(telling: Telling, standing: Standing, events: readonly EmittedEvent[]): void {
  const { aggregate, story, transcript, tally } = telling
  for (const event of events) {
    const before = standing.state
    standing.before = before
    standing.state = evolve(aggregate, before, event)
    const problem = difference(standing.state, evolve(aggregate, before, event))
    if (problem !== undefined) {
      throw new Broken(
        `the evolve function '${event.type}' is not pure: from the same state and event it came to\n  ${problem}`,
      )
    }
    standing.events = [...standing.events, event]
    checkState(telling, { id: standing.id, state: standing.state, before, events: standing.events })
  }
  const { snapshotEvery } = story
  const version = standing.events.length
  if (
    snapshotEvery === false ||
    Math.floor(version / snapshotEvery) === Math.floor((version - events.length) / snapshotEvery)
  ) {
    return
  }
  tally.faults.snapshots += 1
  standing.saved = { state: copyOf(standing.state), version }
  transcript.add('and', () => `a snapshot of ${standing.id} is written at version ${version}`)
}

function checkState({ aggregate, invariants }: Telling, place: Parameters<typeof checkInvariantsOf>[2]): void {
  checkInvariantsOf(aggregate, invariants, place)
  if (aggregate.snapshotEvery === false) return
  const problem = plainProblem(place.state)
  if (problem === undefined) return
  throw new Broken(
    `the state is no plain data, and gets no snapshots (state${problem}). Mend it, or define the aggregate with snapshotEvery: false`,
  )
}
