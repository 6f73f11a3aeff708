/** What operators ask of reactors and their like from outside, as it is done here. Nothing that they send is trusted to be of its kind. */
import { PenholdError } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import { isCount } from '../log/count.ts'
import { LISTED_MAX, type ParkedEvent, type WaitingEvent } from '../react/consumer-operations.ts'
import { reactorFailed, reactorState } from '../react/error.ts'
import type { TimersCondition } from '../react/timers.ts'
import type { Consumers, ReactorRef } from './consumers.ts'

/** As messages have them. */
export type ToldParked = Omit<ParkedEvent, 'reason' | 'parkedAt'> & {
  readonly reason: string
  readonly parkedAt: number
}
export type ToldWaiting = Omit<WaitingEvent, 'time'> & { readonly time: number }

/** How the timers are of the shards that a node serves. */
export type ToldWheels = Pick<TimersCondition, 'held' | 'waiting'> & {
  readonly ownerless: Readonly<Record<string, number>>
}

const PREFIX = 'reactor.'

/** Whether a call is none of a projection. */
export function isOfConsumers({ call }: ProjectionCall): boolean {
  return call.startsWith(PREFIX)
}

/** Who names, or misspells, one of `others` is told so. @throws PenholdError, whatever it is that fails */
export async function operateConsumers(
  consumers: Consumers,
  call: ProjectionCall,
  others: ReadonlyMap<string, string>,
): Promise<unknown> {
  const name = call.call.slice(PREFIX.length)
  try {
    if (name === 'list') return await consumers.status()
    if (name === 'wheels') return toldWheels(consumers.wheels)
    return await done(consumers.named(call.projection, others), name, call)
  } catch (error) {
    throw error instanceof PenholdError ? error : reactorFailed(call.projection, name, error)
  }
}

async function done(ref: ReactorRef, name: string, { projection, options }: ProjectionCall): Promise<unknown> {
  switch (name) {
    case 'pause':
      return await ref.pause()
    case 'resume':
      return await ref.resume()
    case 'parked':
      return (await ref.parked({ limit: limitOf(options), from: fromOf(options) })).map((event) => plainParked(event))
    case 'waiting':
      return (await ref.waiting(text(options, 'stream'), { limit: limitOf(options) })).map((event) =>
        plainWaiting(event),
      )
    case 'retry':
      return await ref.retryParked(text(options, 'stream'))
    case 'skip': {
      const { version } = options
      if (!isCount(version)) throw bad('version is no whole number')
      return await ref.skipParked({ stream: text(options, 'stream'), version, reason: text(options, 'reason') })
    }
    default:
      throw reactorState(`this node's version of Penhold knows no '${name}' of ${projection}; upgrade it`)
  }
}

type Options = ProjectionCall['options']

function plainParked({ reason = '', parkedAt, ...event }: ParkedEvent): ToldParked {
  return { ...event, reason, parkedAt: parkedAt.getTime() }
}

function plainWaiting({ time, ...event }: WaitingEvent): ToldWaiting {
  return { ...event, time: time.getTime() }
}

function toldWheels({ held, waiting, ownerless }: TimersCondition): ToldWheels {
  return { held, waiting, ownerless: Object.fromEntries(ownerless) }
}

function limitOf({ limit }: Options): number {
  if (!isCount(limit) || limit < 1 || limit > LISTED_MAX) throw bad(`limit is no number from 1 to ${LISTED_MAX}`)
  return limit
}

function fromOf({ from = 0 }: Options): number {
  if (!isCount(from)) throw bad('from is no position')
  return from
}

function text(options: Options, key: string): string {
  const value = options[key]
  if (typeof value !== 'string') throw bad(`${key} is no text`)
  return value
}

function bad(problem: string): PenholdError {
  return badPayload('the call of a reactor', problem)
}
