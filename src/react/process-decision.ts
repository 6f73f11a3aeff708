/** What a handler of a process asks for, checked as it asks, and gathered as facts. Nothing is done here. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Aggregate, CommandContext } from '../aggregate/aggregate.ts'
import { describe } from '../aggregate/error.ts'
import { frozen } from '../aggregate/frozen.ts'
import { hashPlain, NotPlain } from '../aggregate/plain.ts'
import { validate } from '../aggregate/schema.ts'
import { synchronous } from '../aggregate/synchronous.ts'
import { idProblem, streamName } from '../log/stream.ts'
import { TIME_MAX } from './timer-buckets.ts'
import type { AnyProcess, ProcessContext, ProcessState, TimerTime } from './process.ts'
import type { Fact } from './process-facts.ts'

/** Commands of one process whose outcome is not known yet; with more it would be a queue of its own. */
const SENDS_MAX = 1_000

/** Runs the handler of what has happened. @throws Error of the handler's, or for what it asks that cannot be */
export function decideOn(
  process: AnyProcess,
  state: ProcessState,
  { name, trigger, context }: { readonly name: string; readonly trigger: unknown; readonly context: DecisionContext },
): readonly Fact[] {
  const run = process.on[name]
  if (run === undefined) return []
  const gathering = new Gathering(process, state, context)
  try {
    const returned = synchronous(run(state.state, trigger, gathering.context))
    if (returned !== undefined) {
      throw new Error(
        `'${name}' of on returned ${describe(returned)}, and what it returns has no effect; call context.send, schedule, cancel or complete`,
      )
    }
  } finally {
    gathering.end()
  }
  return gathering.facts
}

export type DecisionContext = Pick<CommandContext<unknown>, 'id' | 'now' | 'newId' | 'random'>

class Gathering {
  readonly #process: AnyProcess
  readonly #now: number
  readonly #facts: Fact[] = []
  readonly context: ProcessContext
  /** Pending timers, with what was asked for so far. */
  readonly #timers: Set<string>
  #sent: number
  #pending: number
  #timersSet: number
  #isCompleted = false
  #isOver = false

  constructor(process: AnyProcess, state: ProcessState, { id, now, newId, random }: DecisionContext) {
    this.#process = process
    this.#now = now
    this.#timers = new Set(state.timers.map((timer) => timer.id))
    this.#sent = state.sent
    this.#pending = state.sends.length
    this.#timersSet = state.timersSet
    this.context = {
      key: id,
      now,
      newId,
      random,
      send: (aggregate, to, name, ...payload) => this.#send(aggregate, to, { name, payload: payload[0] }),
      schedule: (timer, when) => this.#schedule(timer, when),
      cancel: (timer) => this.#cancel(timer),
      complete: () => this.#complete(),
    }
  }

  /** That it is over comes last, whenever the handler said so. */
  get facts(): readonly Fact[] {
    return this.#isCompleted ? [...this.#facts, { type: '$completed', data: undefined }] : this.#facts
  }

  /** What is asked for later, by a callback of the handler's, would be lost. */
  end(): void {
    this.#isOver = true
  }

  #add(fact: Fact): void {
    if (this.#isOver) throw new Error('the handler has ended, and its context with it: handlers are synchronous')
    this.#facts.push(fact)
  }

  #send(
    aggregate: Aggregate,
    id: string,
    { name, payload }: { readonly name: string; readonly payload: unknown },
  ): undefined {
    const what = checkTarget(this.#process, aggregate, { id, name })
    if (this.#pending >= SENDS_MAX) {
      throw new Error(`${what}: ${SENDS_MAX} commands of the process wait for their outcome, which is the most`)
    }
    checkPayload(what, aggregate.schemas[name], payload)
    // As it was checked: changed later, for the next command perhaps, it would be another here as well.
    this.#add({
      type: '$sent',
      data: { n: this.#sent + 1, stream: streamName(aggregate.type, id), name, payload: frozen(payload) },
    })
    this.#sent += 1
    this.#pending += 1
  }

  #schedule(timer: string, when: TimerTime): undefined {
    this.#checkTimer(timer)
    const at = timeOf(timer, when, this.#now)
    this.#add({ type: '$timerSet', data: { id: timer, at, token: `${this.#timersSet + 1}` } })
    this.#timersSet += 1
    this.#timers.add(timer)
  }

  #cancel(timer: string): undefined {
    this.#checkTimer(timer)
    if (!this.#timers.has(timer)) return
    this.#add({ type: '$timerCancelled', data: { id: timer } })
    this.#timers.delete(timer)
  }

  #complete(): undefined {
    if (this.#isOver) throw new Error('the handler has ended, and its context with it: handlers are synchronous')
    this.#isCompleted = true
  }

  #checkTimer(timer: string): void {
    const { timers, type } = this.#process
    if (timers.includes(timer)) return
    if (typeof (timer as unknown) !== 'string') {
      throw new Error(
        `a timer is named by a text, and ${describe(timer)} was given; give its name first: schedule('due', { inMs: 60_000 }), cancel('due')`,
      )
    }
    throw new Error(`process '${type}' has no timer ${describe(timer)}; it has ${timers.join(', ') || 'none'}`)
  }
}

/** What is sent, in words. @throws Error where it could never be */
function checkTarget(
  process: AnyProcess,
  aggregate: Aggregate,
  { id, name }: { readonly id: string; readonly name: string },
): string {
  if (!(process.to as readonly Aggregate[]).includes(aggregate)) {
    throw new Error(
      `process '${process.type}' sends to ${describeTarget(aggregate)}, which is none of its 'to'; add it there`,
    )
  }
  const { type, commands } = aggregate
  const known = Object.keys(commands as object)
  if (!known.includes(name)) {
    throw new Error(`${type} has no command ${describe(name)}; it has ${known.join(', ')}`)
  }
  const problem = idProblem(id)
  if (problem !== undefined) throw new Error(`'${name}' to ${type}: ${problem}`)
  return `'${name}' to ${type}/${id}`
}

function describeTarget(aggregate: unknown): string {
  const { type } = (aggregate ?? {}) as Partial<Aggregate>
  return typeof type === 'string' ? `'${type}'` : describe(aggregate)
}

/** It is recorded as it was given: its schema makes of it what it makes when it is sent. @throws Error where it could not be */
function checkPayload(what: string, schema: StandardSchemaV1 | undefined, payload: unknown): void {
  const validated = schema === undefined ? undefined : validate(schema, payload)
  if (validated?.kind === 'invalid') throw new Error(`${what}: ${validated.problem}`)
  if (payload === undefined) return
  try {
    hashPlain(payload, 0)
  } catch (error) {
    throw error instanceof NotPlain ? new Error(`${what}: it cannot be sent (payload${error.message})`) : error
  }
}

function timeOf(timer: string, when: TimerTime, now: number): number {
  const { inMs, at } = (when ?? {}) as { readonly inMs?: unknown; readonly at?: unknown }
  const given =
    at instanceof Date ? at.getTime() : (at ?? (typeof inMs === 'number' && inMs >= 0 ? now + inMs : undefined))
  // What is over is as good as now.
  if (typeof given === 'number' && Number.isFinite(given) && given <= TIME_MAX) return Math.ceil(Math.max(0, given))
  throw new Error(
    `the timer '${timer}' is given neither { inMs } from 0 nor { at } with a date or milliseconds since 1970`,
  )
}
