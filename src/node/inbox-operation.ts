/** What operators ask of inboxes from outside, as it is done here. Nothing that they send is trusted to be of its kind. */
import { PenholdError } from '../aggregate/error.ts'
import { badPayload } from '../cluster/error.ts'
import type { ProjectionCall } from '../cluster/projection-call.ts'
import { reactorFailed, reactorState } from '../react/error.ts'
import type { InboxOperations } from '../react/inbox-operations.ts'
import type { ParkedMessage } from '../react/inbox-record.ts'
import type { Inboxes } from './inboxes.ts'

/** A parked message as a message between nodes has it: a text that is missing is empty. */
export type ToldOutline = Omit<ParkedMessage, 'stream' | 'fields'> & { readonly stream: string }
/** With all that it says. */
export type ToldMessage = ToldOutline & { readonly fields: readonly (readonly [name: string, value: string])[] }

const PREFIX = 'inbox.'

/** Whether a call is about inboxes. */
export function isOfInboxes({ call }: ProjectionCall): boolean {
  return call.startsWith(PREFIX)
}

/** @throws PenholdError, whatever it is that fails */
export async function operateInboxes(inboxes: Inboxes, call: ProjectionCall): Promise<unknown> {
  const name = call.call.slice(PREFIX.length)
  try {
    return name === 'list' ? inboxes.conditions : await done(inboxes.operations(call.projection), name, call)
  } catch (error) {
    throw error instanceof PenholdError ? error : reactorFailed(`inbox ${call.projection}`, name, error)
  }
}

async function done(
  operations: InboxOperations,
  name: string,
  { projection, options }: ProjectionCall,
): Promise<unknown> {
  switch (name) {
    case 'parked': {
      const { parked } = await operations.outline()
      return parked.map(({ after: _own, ...outline }): ToldOutline => ({ ...outline, stream: outline.stream ?? '' }))
    }
    case 'message': {
      const { fields, ...outline } = await operations.message(text(options, 'id'))
      const told: ToldMessage = { ...outline, stream: outline.stream ?? '', fields: Object.entries(fields) }
      return told
    }
    case 'retry':
      return await operations.retry(text(options, 'id'))
    case 'skip':
      return await operations.skip({ id: text(options, 'id'), reason: text(options, 'reason') })
    default:
      throw reactorState(`this node's version of Penhold knows no '${name}' of inbox ${projection}; upgrade it`)
  }
}

function text(options: ProjectionCall['options'], key: string): string {
  const value = options[key]
  if (typeof value !== 'string') throw badPayload('the call of an inbox', `${key} is no text`)
  return value
}
