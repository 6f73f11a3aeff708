/**
 * How every command tells a failure, on stderr: to people in the form `penhold: what; what to do`, to programs
 * (`--json`) as one object a line.
 */
import { PenholdError } from '../aggregate/error.ts'
import { ConnectionError } from '../cluster/network.ts'
import { Failure, type Terminal } from './command.ts'

export interface Complaint {
  /** One of docs/errors.md, where it is. */
  readonly code?: string
  /** With what to do. */
  readonly message: string
}

export function complain(terminal: Terminal, { code, message }: Complaint, isJson: boolean): void {
  if (isJson) terminal.err(JSON.stringify({ error: { ...(code && { code }), message } }))
  else terminal.err(`penhold: ${code === undefined ? '' : `${code}: `}${message}`)
}

/** Undefined for what is a bug. */
export function complaintOf(error: unknown): Complaint | undefined {
  if (error instanceof Failure) return { message: error.message }
  if (error instanceof PenholdError) return { code: error.code, message: error.message }
  if (error instanceof ConnectionError) return { message: `the network: ${error.message}` }
  // Of the operating system, which names the call.
  if (!(error instanceof Error && 'syscall' in error)) return undefined
  return {
    message: `${error.message}; see that the files are as Penhold left them and this user's, and that the disk is well`,
  }
}
