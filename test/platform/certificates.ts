/** Certificates that tests use, and nobody else: their keys are known to everyone. `certificates/make.sh` made them. */
import fs from 'node:fs'
import { join } from 'node:path'
import type { TlsOptions } from '../../src/platform/tcp-network.ts'

export const PEER_NAME = 'penhold.test'

export const certificates = {
  ours: load('node'),
  /** From the right authority, for another name. */
  otherName: load('other-name'),
  expired: load('expired'),
  /** From another authority; its owner trusts ours. */
  otherAuthority: load('stranger'),
} as const

function load(name: string): TlsOptions {
  const read = (file: string): string => fs.readFileSync(join(import.meta.dirname, 'certificates', file), 'utf8')
  return { ca: read('our-authority.pem'), cert: read(`${name}.pem`), key: read(`${name}.key`), peerName: PEER_NAME }
}
