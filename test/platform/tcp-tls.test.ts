/** Who is let in by mutual TLS, and who is not. */
import tls from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { parseAddress } from '../../src/cluster/network.ts'
import { certificates, PEER_NAME } from './certificates.ts'
import { closeAll, connect, Door, ended, honest, OTHER, SECRET } from './door.ts'

afterEach(closeAll)

describe('mutual TLS', () => {
  const { ours, otherName, expired, otherAuthority } = certificates

  test.each([
    ['another authority', otherAuthority],
    ['another name', otherName],
    ['a time that is over', expired],
  ])('refuses the certificate of %s, whichever side has it', async (_, wrong) => {
    const trusting = await new Door({ tls: wrong }).open()
    await expect(connect(trusting, { tls: ours })).rejects.toMatchObject({ kind: 'untrusted' })

    const door = await new Door({ tls: ours }).open()
    const works = await honest(door, { tls: ours })
    const failure = await connect(door, { tls: wrong }).catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'ConnectionError' })
    expect(await door.refused(1)).toEqual({ untrusted: 1 })
    expect(door.accepted.count).toBe(1)
    await works()
  })

  test('refuses who has none', async () => {
    const door = await new Door({ tls: ours }).open()
    const { host, port } = parseAddress(door.listener.address)
    const socket = tls.connect({ host, port, rejectUnauthorized: false, servername: PEER_NAME })
    socket.on('error', () => undefined)
    await ended(socket)
    expect(await door.refused(1)).toEqual({ untrusted: 1 })
    expect(door.accepted.count).toBe(0)
  })

  test('does not speak with who does not, from either side', async () => {
    const secure = await new Door({ tls: ours, secrets: [SECRET] }).open()
    await expect(connect(secure, { secrets: [SECRET] })).rejects.toThrow(/TLS/)
    expect(await secure.refused(1)).toEqual({ stranger: 1 })
    const plain = await new Door({ secrets: [SECRET] }).open()
    await expect(connect(plain, { tls: ours, secrets: [SECRET] })).rejects.toMatchObject({ name: 'ConnectionError' })
    expect(await plain.refused(1)).toEqual({ stranger: 1 })
  })

  test('still asks for the secret, where there is one', async () => {
    const door = await new Door({ tls: ours, secrets: [SECRET] }).open()
    await expect(connect(door, { tls: ours, secrets: [OTHER] })).rejects.toMatchObject({ kind: 'unproven' })
    expect(await door.refused(1)).toEqual({ unproven: 1 })
  })

  test('is bounded in time, also before its own handshake', async () => {
    const door = await new Door({ tls: ours, handshakeMs: 4_000 }).open()
    const works = await honest(door, { tls: ours })
    const silent = await door.stranger()
    const { host, port } = parseAddress(door.listener.address)
    const mute = tls.connect({ host, port, ...ours, servername: PEER_NAME } as tls.ConnectionOptions)
    mute.on('error', () => undefined)
    await Promise.all([ended(silent), ended(mute)])
    expect(await door.refused(2)).toEqual({ timeout: 2 })
    await works()
  })
})
