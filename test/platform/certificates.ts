/** Certificates for tests, made once a process by openssl, which Node's own crypto has nothing for. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TlsOptions } from '../../src/platform/tcp-network.ts'

export const PEER_NAME = 'penhold.test'

export interface Certificates {
  readonly ours: TlsOptions
  /** From the right authority, for another name. */
  readonly otherName: TlsOptions
  readonly expired: TlsOptions
  /** From another authority, which it trusts as well as ours. */
  readonly otherAuthority: TlsOptions
}

let made: Certificates | undefined

export function certificates(): Certificates {
  made ??= make()
  return made
}

function make(): Certificates {
  const folder = fs.mkdtempSync(join(tmpdir(), 'penhold-certificates-'))
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const read = (name: string): string => fs.readFileSync(join(folder, name), 'utf8')
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout']
  const authority = (name: string): void =>
    openssl('req', '-x509', ...newKey, `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`, '-days', '2')
  const certificate = (name: string, by: string, subject: string, days = '1'): TlsOptions => {
    openssl('req', ...newKey, `${name}.key`, '-out', `${name}.csr`, '-subj', '/CN=node')
    fs.writeFileSync(join(folder, 'extensions'), `subjectAltName=DNS:${subject}`)
    const signing = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial', '-extfile', 'extensions']
    openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.pem`, '-days', days)
    return { ca: read('ours.pem'), cert: read(`${name}.pem`), key: read(`${name}.key`), peerName: PEER_NAME }
  }
  try {
    authority('ours')
    authority('others')
    const fromOthers = certificate('other-authority', 'others', PEER_NAME)
    return {
      ours: certificate('node', 'ours', PEER_NAME),
      otherName: certificate('other-name', 'ours', 'somebody.test'),
      expired: certificate('expired', 'ours', PEER_NAME, '-1'),
      otherAuthority: fromOthers,
    }
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}
