import { toCloudEvent } from '../../src/react/cloud-event.ts'
import type { OutboxMessage } from '../../src/react/publisher.ts'
import { eventOf } from './outbox-world.ts'

/** A message as an outbox makes it. */
export function messageOf(stream: string, version: number): OutboxMessage {
  const integration = { type: 'com.example.deposited', data: { euros: version } }
  const event = toCloudEvent(eventOf(stream, version), integration, { outbox: 'payments', source: 'urn:bank' })
  return { id: event.id, stream, event, json: JSON.stringify(event) }
}
