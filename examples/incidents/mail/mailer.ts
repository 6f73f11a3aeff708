/** Sends mails by SMTP. */
import { createTransport } from 'nodemailer'
import { NonRetryableError } from '../../../src/index.ts'

export interface Mail {
  /** The same for a mail that is sent again: its receiver takes two of one id for one. */
  readonly id: string
  readonly to: string
  readonly subject: string
  readonly text: string
}

/**
 * Resolves once the mail server has taken it.
 * @throws NonRetryableError where it refuses this mail for good; else what has failed: it may have taken it even so
 */
export type SendMail = (mail: Mail, signal: AbortSignal) => Promise<void>

/** Whose mails they are. */
export const DOMAIN = 'desk.example'

const FROM = `Service desk <desk@${DOMAIN}>`
/** Well within what a handler has. */
const TIMEOUTS = { connectionTimeout: 5_000, greetingTimeout: 5_000, socketTimeout: 10_000 }

/**
 * @param url of the mail server, as `smtp://localhost:2525`. There is a connection for each mail: none is kept, so that there
 * is nothing to close.
 */
export function createMailer(url: string): SendMail {
  const transport = createTransport({ url, ...TIMEOUTS, disableFileAccess: true, disableUrlAccess: true })
  return async ({ id, to, subject, text }, signal) => {
    try {
      await transport.sendMail({ from: FROM, to, subject, text, messageId: `<${id}@${DOMAIN}>`, signal })
    } catch (error) {
      throw isRefusal(error) ? new NonRetryableError(error.message, { cause: error }) : error
    }
  }
}

/** A reply from 500 up is for good (RFC 5321, 4.2.1). Said of the envelope or the content it is said of this mail, and not of us. */
function isRefusal(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const { code, responseCode } = error as { readonly code?: unknown; readonly responseCode?: unknown }
  return (code === 'EENVELOPE' || code === 'EMESSAGE') && typeof responseCode === 'number' && responseCode >= 500
}
