/** Errors of inboxes. Codes, outcomes and remedies are listed in docs/errors.md. */
import { PenholdError } from '../aggregate/error.ts'
import type { InboxPage } from './inbox-source.ts'

/** Where messages come from does not answer. */
export function sourceUnavailable(where: string, reason: string): PenholdError {
  return new PenholdError('SourceUnavailable', `${where} gives no messages: ${reason}`, {
    outcome: 'none',
    retryable: true,
    details: { where },
  })
}

export function inboxHalted(inbox: string, message: string, reason: string): PenholdError {
  return new PenholdError(
    'InboxHalted',
    `inbox ${inbox} goes no further than message ${message}, and tries it again: ${reason}. Mend its mapper or its aggregate; or give the message up: delete it where it comes from, and it counts as lost.`,
    { outcome: 'none', retryable: true, details: { inbox, message } },
  )
}

export function messageTooLarge(
  inbox: string,
  { id, bytes, bytesMax }: NonNullable<InboxPage['tooLarge']>,
): PenholdError {
  return new PenholdError(
    'InboxHalted',
    `inbox ${inbox} goes no further than message ${id}, and looks for it again: it has ${bytes} bytes, and a message of up to ${bytesMax} is read. Delete it where it comes from: then it counts as lost.`,
    { outcome: 'none', retryable: true, details: { inbox, message: id } },
  )
}

/** Somebody wants to do something with a message that is not parked, or not any more. */
export function messageNotParked(inbox: string, message: string): PenholdError {
  return new PenholdError(
    'MessageNotParked',
    `inbox ${inbox} has no parked message ${message}; penhold parked list inbox:${inbox}, or node.inbox(…).parked(), lists those it has`,
    { outcome: 'none', retryable: false, details: { inbox, message } },
  )
}

export function inboxRetryTimedOut(inbox: string, message: string, timeoutMs: number): PenholdError {
  return new PenholdError(
    'Timeout',
    `what inbox ${inbox} has parked with message ${message} is still tried again after ${timeoutMs} ms: what it is for may be away, or nobody may run the inbox at the moment. It goes on; look at its status, and at what is parked, later.`,
    { outcome: 'unknown', retryable: true, details: { inbox, message, timeoutMs } },
  )
}
