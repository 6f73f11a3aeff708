/**
 * Events that were given to an aggregate from outside, as a migration does: each is held against the definition, and the
 * state goes through evolve as with any other.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { frozen } from '../aggregate/frozen.ts'
import { validate } from '../aggregate/schema.ts'
import type { NewEvent } from './append.ts'
import { checkPlain, evolve } from './decide.ts'
import { appendRefused } from './error.ts'
import type { DecidedEvent } from './kind.ts'

/** @throws PenholdError `BadPayload` for an event that is none of the aggregate's, `HandlerFailed` */
export function decideAppend(
  aggregate: Aggregate,
  state: unknown,
  { stream, events }: { readonly stream: string; readonly events: readonly NewEvent[] },
): { readonly events: readonly DecidedEvent[]; readonly state: unknown } {
  let next = state
  const checked = events.map((event) => {
    const decided = checkedEvent(aggregate, stream, event)
    next = evolve(aggregate, next, decided)
    return decided
  })
  return { events: checked, state: next }
}

function checkedEvent(aggregate: Aggregate, stream: string, event: NewEvent): DecidedEvent {
  const { type, id, metadata } = event
  if (event.aggregate !== undefined) {
    throw appendRefused(stream, `it is an aggregate's own, so that its events name no other (${type})`)
  }
  if (!Object.hasOwn(aggregate.events as object, type)) {
    throw appendRefused(stream, `${aggregate.type} has no event '${type}'`)
  }
  const schema = aggregate.schemas[type]
  const validated = schema === undefined ? undefined : validate(schema, event.data)
  if (validated?.kind === 'invalid') throw appendRefused(stream, `the event '${type}': ${validated.problem}`)
  const data = validated === undefined ? event.data : validated.value
  try {
    checkPlain(`the event '${type}' has data that cannot be stored: data`, data)
  } catch (error) {
    throw appendRefused(stream, error instanceof Error ? error.message : String(error))
  }
  return { type, data: frozen(data), id, metadata }
}
