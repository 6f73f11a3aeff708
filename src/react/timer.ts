/**
 * A timer that a reactor has set: an aggregate of Penhold's own, one stream for each, whose facts are read like those of a
 * process. It keeps the command; once it has fired, its last fact has all that is needed to send it (timer-consumers.ts).
 */
import {
  defineAggregate,
  isAggregate,
  type Aggregate,
  type CommandName,
  type PayloadOf,
} from '../aggregate/aggregate.ts'
import { assert } from '../aggregate/assert.ts'
import { describe, PenholdError } from '../aggregate/error.ts'
import { internal } from '../aggregate/internal.ts'
import { nearest } from '../aggregate/nearest.ts'
import { FIRE } from '../aggregate/own-names.ts'
import { hashPlain, NotPlain, plainBytes } from '../aggregate/plain.ts'
import { validate } from '../aggregate/schema.ts'
import { deriveId } from '../log/identity.ts'
import { idProblem, isInternal, streamName } from '../log/stream.ts'
import type { Cause, Effects } from './effects.ts'
import { TIME_MAX } from './timer-buckets.ts'
import { unlessKnown } from './unless-known.ts'

/** When a timer is due: at a time, in milliseconds since 1970 where it is a number; or so long after the event's. */
export type When = { readonly at: Date | number } | { readonly inMs: number }

export interface TimedCommand {
  readonly stream: string
  readonly name: string
  readonly payload: unknown
}

/** That a timer was set, in the stream of who did. Those of processes are called `$timerSet`. */
export interface TimerSet {
  readonly id: string
  readonly at: number
  readonly token: string
}

const ID_MAX = 300
/** What is recorded of a timer later has no command in it, and takes no more than what sets it and so much. */
const BESIDE_BYTES = 512

interface Pending extends TimerSet {
  readonly command: TimedCommand
}

/** A reactor's timer. */
export const TimerRecord: Aggregate = internal(
  defineAggregate({
    type: 'timer',
    initialState: (): { readonly token: string | undefined; readonly command: TimedCommand | undefined } => ({
      token: undefined,
      command: undefined,
    }),
    events: {
      TimerSet: (_state, { token, command }: Pending) => ({ token, command }),
      /** With a token where there was one to cancel. */
      TimerCancelled: (_state, _cancelled: { readonly token?: string }) => ({ token: undefined, command: undefined }),
      TimerFired: (_state, _fired: { readonly token: string; readonly command: TimedCommand }) => ({
        token: undefined,
        command: undefined,
      }),
    },
    commands: {
      set: (_state, given: Omit<Pending, 'token'>, { emit, commandId }) =>
        emit.TimerSet({ ...given, token: commandId }),
      // A fact also where there is none: the event that cancels, handled again, must not reach one that was set since.
      cancel: ({ token }, _none: undefined, { emit }) => emit.TimerCancelled(token === undefined ? {} : { token }),
      fire: ({ token, command }, fired: { readonly token: string }, { emit }) =>
        token !== fired.token || command === undefined ? undefined : emit.TimerFired({ token, command }),
    },
  }),
)

/** Of whom a timer is, and what handles the event that sets it. */
export interface TimerOwner {
  /** The reactor's name: timers of others may have the same ids. */
  readonly owner: string
  readonly effects: Effects
  /** Stable for event and reactor. */
  readonly idempotencyKey: string
  /** Of the event. */
  readonly cause: Cause
  readonly time: Date
  /** Handled again, it has asked for something else of a timer: what it asked for first stands. */
  readonly onOther: (timer: string) => void
}

/**
 * Sets and cancels timers while one event is handled. Handled again it sets the same ones, and no others: where the handler
 * asks for something else then, what it asked for first stands.
 */
export class ReactorTimers {
  readonly #of: TimerOwner
  /** By timer, how often something was asked of it. Of several it may be in any order. */
  readonly #calls = new Map<string, number>()

  constructor(of: TimerOwner) {
    this.#of = of
  }

  /** Resolves once the timer is durable. One of the same id is replaced. @throws PenholdError `BadTimer`, or as `ask` */
  async schedule<A extends Aggregate, K extends CommandName<A>>(
    id: string,
    when: When,
    to: { readonly aggregate: A; readonly id: string; readonly command: K; readonly payload: PayloadOf<A, K> },
  ): Promise<void> {
    checkName(id)
    const at = timeOf(id, when, this.#of.time)
    const command = commandFor(inWords(id), to)
    const payload = { id, at, command }
    this.#checkSize(id, payload)
    await this.#ask(id, 'set', payload)
  }

  /** Resolves once it is durable that the timer, if there is one, does not fire. What it has sent already is not undone. */
  async cancel(id: string): Promise<void> {
    checkName(id)
    await this.#ask(id, 'cancel', undefined)
  }

  /** A timer that is set can be put into a bucket, alone if need be: what could not would hold up all others of its shard. */
  #checkSize(id: string, payload: unknown): void {
    const { owner, effects, cause } = this.#of
    const bytes = plainBytes({ ...cause, owner, id, payload })
    const most = effects.commandBytesMax - BESIDE_BYTES
    if (bytes <= most) return
    throw badTimer(
      inWords(id),
      `takes ${bytes} bytes with its command, and ${most} is the most; have the command look up what is large, or raise limits.commandBytesMax`,
    )
  }

  async #ask(id: string, name: string, payload: unknown): Promise<void> {
    const { owner, effects, idempotencyKey, cause, onOther } = this.#of
    const call = (this.#calls.get(id) ?? 0) + 1
    this.#calls.set(id, call)
    const commandId = deriveId(idempotencyKey, 'timer', id, call)
    const stream = streamName(TimerRecord.type, timerId(owner, id))
    const outcome = await unlessKnown(effects.ask({ stream, name, payload, commandId, ...cause }))
    if (outcome === undefined) onOther(id)
    else assert(outcome.kind === 'accepted', 'a timer is set and cancelled whatever its state')
  }
}

/** Whether an event says that a timer was set, by a process or by an aggregate of Penhold's own. */
export function isTimerSet({ type, stream }: { readonly type: string; readonly stream: string }): boolean {
  return isInternal(stream) ? type === 'TimerSet' : type === '$timerSet'
}

/** What whoever set a timer is told when it is due. */
export function fireCommand(stream: string): string {
  return isInternal(stream) ? 'fire' : FIRE
}

/** @throws PenholdError `BadTimer` */
export function timeOf(id: string, when: When, from: Date): number {
  const { at, inMs } = (when ?? {}) as { readonly at?: unknown; readonly inMs?: unknown }
  const given = at ?? inMs
  const ms = at instanceof Date ? at.getTime() : given
  const time = typeof ms !== 'number' ? Number.NaN : at === undefined ? from.getTime() + ms : ms
  // What is over is as good as now, however long it is.
  if (Number.isFinite(time) && time <= TIME_MAX) return Math.ceil(Math.max(0, time))
  throw badTimer(
    inWords(id),
    `is to be due ${at === undefined ? 'in' : 'at'} ${describe(given)}; give { at: a Date } or { inMs: milliseconds }`,
  )
}

/** It is the first thing given, and easily left out. */
function checkName(id: unknown): void {
  if (typeof id === 'string') return
  throw new PenholdError(
    'BadTimer',
    `a timer is named by a text, and ${describe(id)} was given; give its id first: schedule('reminder', { inMs: 60_000 }, Aggregate, 'id', 'command', payload), cancel('reminder')`,
    { outcome: 'none', retryable: false },
  )
}

function timerId(owner: string, id: string): string {
  const problem = idProblem(id)
  if (problem !== undefined)
    throw badTimer(inWords(id), `cannot be called so: ${problem.replace("an aggregate's id", 'it')}`)
  if (id.length > ID_MAX) throw badTimer(inWords(id), `has an id of ${id.length} characters; give up to ${ID_MAX}`)
  const whole = `${owner}:${id}`
  const tooLong = idProblem(whole)
  if (tooLong !== undefined)
    throw badTimer(
      inWords(id),
      `cannot be called so by ${owner}: ${tooLong.replace("an aggregate's id", 'both names together')}`,
    )
  return whole
}

/** The command as the timer keeps it; `who`, in words, is to send it. What is wrong with it is said now, and not when it is due. */
export function commandFor<A extends Aggregate, K extends CommandName<A>>(
  who: string,
  to: { readonly aggregate: A; readonly id: string; readonly command: K; readonly payload: PayloadOf<A, K> },
): TimedCommand {
  const { aggregate, id, command: name } = to
  checkAddress(who, to)
  const schema = aggregate.schemas[name]
  const validated = schema === undefined ? undefined : validate(schema, to.payload)
  if (validated?.kind === 'invalid') throw badTimer(who, `has a payload that its command refuses: ${validated.problem}`)
  // Its schema may make something else of it, which it does once it is sent.
  try {
    hashPlain(to.payload, 0)
  } catch (error) {
    throw error instanceof NotPlain ? badTimer(who, `has what cannot be sent: payload${error.message}`) : error
  }
  return { stream: streamName(aggregate.type, id), name, payload: to.payload }
}

/** @throws PenholdError `BadTimer` where there is nobody, or no such command, to send to */
export function checkAddress(
  who: string,
  { aggregate, id, command }: { readonly aggregate: Aggregate; readonly id: string; readonly command: string },
): void {
  if (!isAggregate(aggregate) || typeof command !== 'string') {
    const given = `${describe(command)} to ${describe(aggregate)}`
    throw badTimer(
      who,
      `is to send ${given}; give an aggregate, an id of one, a command and its payload, in this order`,
    )
  }
  const commands = Object.keys(aggregate.commands as object)
  if (!commands.includes(command)) {
    const known = nearest(command, commands)
    throw badTimer(who, `is to send '${command}', and ${aggregate.type} has no such command; the nearest is '${known}'`)
  }
  const problem = idProblem(id)
  if (problem !== undefined) throw badTimer(who, `is to send a command to nobody: ${problem}`)
}

function inWords(id: string): string {
  return `the timer '${id}'`
}

/** `who`: in words. */
function badTimer(who: string, problem: string): PenholdError {
  return new PenholdError('BadTimer', `${who} ${problem}`, { outcome: 'none', retryable: false })
}
