/** What operators ask of projections from outside, as it is done here. Nothing that they send is trusted to be of its kind. */
import { PenholdError } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import { isCount } from '../log/count.ts'
import { projectionFailed, projectionState } from '../read/error.ts'
import type { Parked } from '../read/parking.ts'
import type { ParkedEvent } from '../read/read-model.ts'
import type { Which } from '../read/running-projection.ts'
import type { ProjectionRef, Projections } from './projections.ts'

/** So many parked events are told at once. */
const PARKED_MAX = 1_000

/** @throws PenholdError, whatever it is that fails */
export async function operate(projections: Projections, call: ProjectionCall): Promise<unknown> {
  try {
    if (call.call === 'list') return await projections.status()
    return await done(projections.named(call.projection), call)
  } catch (error) {
    throw error instanceof PenholdError ? error : projectionFailed(call.projection, call.call, error)
  }
}

async function done(
  projection: ProjectionRef<unknown>,
  { call, projection: name, options }: ProjectionCall,
): Promise<unknown> {
  switch (call) {
    case 'status':
      return await projection.status()
    case 'pause':
      return await projection.pause()
    case 'resume':
      return await projection.resume()
    case 'rebuild':
      return await projection.rebuild()
    case 'resumeRebuild':
      return await projection.resumeRebuild()
    case 'abortRebuild':
      return await projection.abortRebuild()
    case 'promote':
      return await projection.promote()
    case 'rollBack':
      return await projection.rollBack()
    case 'parked':
      return (await projection.parked(parkedOptions(options))).map((event) => toPlain(event))
    case 'retryParked':
      return await projection.retryParked(text(options, 'stream'), which(options))
    case 'skipParked': {
      const { version } = options
      if (!isCount(version)) throw bad('version is no whole number')
      return await projection.skipParked(
        { stream: text(options, 'stream'), version, reason: text(options, 'reason') },
        which(options),
      )
    }
    default:
      throw projectionState(`this node's version of Penhold knows no '${call}' of ${name}; upgrade it`)
  }
}

type Options = ProjectionCall['options']

function parkedOptions(options: Options): { readonly stream?: string; readonly limit: number } & Which {
  const { limit, stream } = options
  if (!isCount(limit) || limit < 1 || limit > PARKED_MAX) throw bad(`limit is no number from 1 to ${PARKED_MAX}`)
  return { limit, ...which(options), ...(stream !== undefined && { stream: text(options, 'stream') }) }
}

/** As a message can have it. */
function toPlain({ reason = '', parkedAt, ...event }: Parked): ParkedEvent {
  return { ...event, reason, parkedAt: parkedAt.getTime() }
}

function which({ generation = 'live' }: Options): Which {
  if (generation !== 'live' && generation !== 'rebuild') throw bad("generation is neither 'live' nor 'rebuild'")
  return { generation }
}

function text(options: Options, key: string): string {
  const value = options[key]
  if (typeof value !== 'string') throw bad(`${key} is no text`)
  return value
}

function bad(problem: string): PenholdError {
  return badPayload('the call of a projection', problem)
}
