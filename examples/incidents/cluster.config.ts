/** What the service desk runs where its events set things in motion: `npm run incidents`. */
import { defineCluster } from '../../src/index.ts'
import { Incident } from './incident.ts'
import { createMailer } from './mail/mailer.ts'
import { defineBreaches } from './reactions/breaches.ts'
import { defineEscalation } from './reactions/escalation.ts'
import { defineClosingMails, defineConfirmations } from './reactions/mails.ts'

const { DESK_HOUR_MS: hourMs = '3600000', SMTP_URL: smtp = 'smtp://127.0.0.1:25', REDIS_URL: redis } = process.env
const send = createMailer(smtp)

export default defineCluster({
  name: 'service-desk',
  aggregates: [Incident],
  processes: [defineEscalation({ hourMs: Number(hourMs) })],
  reactors: [defineConfirmations(send), defineClosingMails(send)],
  // Without a Redis nobody is told of breaches; once there is one, it is told of all that there were.
  outboxes: redis === undefined ? [] : [defineBreaches(redis)],
  dataDir: './data',
  shards: 16,
})
