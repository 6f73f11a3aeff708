/** What the handshake needs of cryptography, from OpenSSL. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Cryptography } from '../cluster/handshake.ts'

export const systemCryptography: Cryptography = {
  mac: (secret, message) => createHmac('sha256', secret).update(message).digest(),
  isEqual: (a, b) => a.length === b.length && timingSafeEqual(a, b),
}
