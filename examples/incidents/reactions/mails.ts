/**
 * Two mails go out when an incident is closed: whoever closed it is sent a confirmation before the reply to the report, which says
 * where that has not worked; who reported it is told when it comes to that.
 *
 * Each mail's id derives from event and reactor, so that a mail that is sent again, because a machine died or an answer was
 * lost, is known as the same. What was closed before there were mails is told to nobody.
 */
import { defineReactor, idOf, type FeedEvent, type Reactor, type ReactorContext } from '../../../src/index.ts'
import { Incident } from '../incident.ts'
import { DOMAIN, type SendMail } from '../mail/mailer.ts'

/** A mail server that is away is waited for, for a quarter of an hour. What it refuses for good is parked at once. */
const SETTINGS = { from: [Incident], startAt: 'now', retries: 100, concurrency: 4 } as const

/** For whoever closed it. */
export function defineConfirmations(send: SendMail): Reactor {
  return defineReactor({
    ...SETTINGS,
    name: 'closing-confirmations',
    mode: 'synchronous',
    handlerTimeoutMs: 10_000,
    on: onClosing(async (event, { idempotencyKey: id, signal }) => {
      const { updatedBy } = event.metadata
      // The desk's system closes some of its own accord.
      if (typeof updatedBy !== 'string') return
      const number = idOf(event)
      const text = `You have closed incident ${number}.`
      await send({ id, to: `agent-${updatedBy}@${DOMAIN}`, subject: `Closed: ${number}`, text }, signal)
    }),
  })
}

/** For who reported it: each incident has an address, behind which they are. */
export function defineClosingMails(send: SendMail): Reactor {
  return defineReactor({
    ...SETTINGS,
    name: 'closing-mails',
    on: onClosing(async (event, { idempotencyKey: id, signal }) => {
      const number = idOf(event)
      const text = `Your incident ${number} is closed. Should it come back, answer this mail.`
      await send({ id, to: `incident-${number}@${DOMAIN}`, subject: `Your incident ${number}`, text }, signal)
    }),
  })
}

type Handle = (event: FeedEvent, context: ReactorContext) => Promise<void>

function onClosing(handle: Handle) {
  return {
    IncidentClosed: handle,
    // What is known of a reopening may be its count alone: that it was closed again in between.
    IncidentReopened: async (event: FeedEvent, context: ReactorContext) =>
      (event.data as { readonly state: string }).state === 'Closed' ? await handle(event, context) : undefined,
  }
}
