/** Sends mails by SMTP. */
import { createTransport } from 'nodemailer'

export interface Mail {
  /** The same for a mail that is sent again: its receiver takes two of one id for one. */
  readonly id: string
  readonly to: string
  readonly subject: string
  readonly text: string
}

/** Resolves once the mail server has taken it. @throws where it refuses, or does not answer: it may have taken it even so */
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
    await transport.sendMail({ from: FROM, to, subject, text, messageId: `<${id}@${DOMAIN}>`, signal })
  }
}
