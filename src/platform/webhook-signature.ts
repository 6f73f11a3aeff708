/**
 * Signatures of webhooks as Standard Webhooks has them (https://www.standardwebhooks.com): a secret is `whsec_` and 24 to 64
 * bytes in base64; what is signed is the message's id, when it was sent, and the body, byte for byte.
 */
import { createHmac } from 'node:crypto'
import { definitionError } from '../aggregate/error.ts'

const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/
const BYTES_MIN = 24
const BYTES_MAX = 64

/** @throws PenholdError `BadDefinition`, without the secret in it */
export function webhookKey(secret: unknown): Buffer {
  const encoded = typeof secret === 'string' ? SECRET.exec(secret)?.[1] : undefined
  const key = encoded === undefined ? undefined : Buffer.from(encoded, 'base64')
  if (key !== undefined && key.length >= BYTES_MIN && key.length <= BYTES_MAX) return key
  throw definitionError(
    `webhookPublisher: secret is none of Standard Webhooks: give 'whsec_' and ${BYTES_MIN} to ${BYTES_MAX} random bytes in base64, as of: echo whsec_$(openssl rand -base64 32)`,
  )
}

/** Of the header `webhook-signature`: one signature for each key, so that a receiver may know the old or the new one. */
export function webhookSignature(
  keys: readonly Buffer[],
  { id, timestamp, body }: { readonly id: string; readonly timestamp: number; readonly body: string },
): string {
  const signed = `${id}.${timestamp}.${body}`
  return keys.map((key) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`).join(' ')
}
