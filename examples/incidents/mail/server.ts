/**
 * A mail server, a process of its own: it takes mails by SMTP and writes each into a file, a line of JSON a mail. Whoever
 * started it may have it behave as mail servers do on a bad day.
 *
 *     node server.ts FILE PORT      0: any port that is free
 */
import { appendFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { SMTPServer, type SMTPServerSession } from 'smtp-server'
import type { FromMailServer, Mood, ReceivedMail } from './server-process.ts'

const MAIL_BYTES_MAX = 1_048_576
const CLIENTS_MAX = 1_000
const NO_SUCH_MAILBOX = 550
const TRY_AGAIN = 451

const [file = 'mails.jsonl', port = '0'] = process.argv.slice(2)
let mood: Mood = 'well'

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['AUTH', 'STARTTLS'],
  size: MAIL_BYTES_MAX,
  maxClients: CLIENTS_MAX,
  onRcptTo(_address, _session, done) {
    done(mood === 'refuses' ? refusal(NO_SUCH_MAILBOX, 'there is no such mailbox') : null)
  },
  onData(stream, session, done) {
    text(stream).then((mail) => {
      appendFileSync(file, `${JSON.stringify(read(mail, session))}\n`)
      // As when the connection breaks at the wrong moment: the sender has to send it again.
      done(mood === 'takes and denies' ? refusal(TRY_AGAIN, 'try again later') : null)
    }, done)
  },
})

function read(mail: string, { envelope }: SMTPServerSession): ReceivedMail {
  const [head = ''] = mail.split('\r\n\r\n', 1)
  const lines = head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n')
  const header = (name: string): string =>
    lines.find((line) => line.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
  return {
    id: header('message-id'),
    to: envelope.rcptTo.map(({ address }) => address).join(', '),
    subject: header('subject'),
  }
}

function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode })
}

process.on('message', (told: Mood) => {
  mood = told
  say({ kind: 'mood', mood })
})
// Ctrl-C is for whoever started it, who goes first.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit())
// A connection that breaks is its client's to mend.
server.on('error', (error) => {
  if (!listening.listening) throw error
})
const listening = server.listen(Number(port), '127.0.0.1', () =>
  say({ kind: 'listening', port: (listening.address() as AddressInfo).port }),
)

function say(message: FromMailServer): void {
  process.send?.(message)
}
