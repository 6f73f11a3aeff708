/** What strangers and broken peers can do over TCP, and what it costs the others: nothing. */
import net, { type Socket } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { HELLO_BYTES, PROOF_BYTES } from '../../src/cluster/handshake.ts'
import { BACKLOG_BYTES_MAX, FRAME_BYTES_MAX } from '../../src/cluster/network.ts'
import { TcpNetwork, UNFINISHED_MAX, type TcpNetworkOptions } from '../../src/platform/tcp-network.ts'
import { Accepted, closed, FAR, frameOf, frames, NEAR } from '../cluster/network-ends.ts'
import { certificates } from './certificates.ts'
import { closeAll, connect, Door, ended, HANDSHAKE_BYTES, honest, open, OTHER, SECRET, shake, TIMEOUT } from './door.ts'

afterEach(closeAll)

describe('what may be used', () => {
  test.each(['0.0.0.0:0', '[::]:0', '10.0.0.1:7400', 'node.example:7400', '128.0.0.1:1', '[::ffff:10.0.0.1]:1'])(
    '%s only with a secret or with TLS',
    async (address) => {
      const network = new TcpNetwork()
      const wrong = {
        code: 'BadDefinition',
        message: expect.stringMatching(/`network\.secrets`.*PENHOLD_SECRETS.*`network\.tls`.*127\.0\.0\.1/) as string,
      }
      await expect(
        network.listen(
          address,
          () => FAR,
          () => expect.unreachable(),
        ),
      ).rejects.toMatchObject(wrong)
      await expect(network.connect(address, NEAR, TIMEOUT)).rejects.toMatchObject(wrong)
    },
  )

  test('all addresses of the machine with a secret', async () => {
    const network = new TcpNetwork({ secrets: [SECRET] })
    const accepted = new Accepted()
    const listener = await network.listen('0.0.0.0:0', () => FAR, accepted.take)
    open.push(listener)
    open.push(await network.connect(listener.address.replace('0.0.0.0', '127.0.0.1'), NEAR, TIMEOUT))
    expect((await accepted.next()).peer).toEqual(NEAR)
  })

  test.each(['localhost:1', '127.3.2.1:1', '[::1]:1'])('%s without either', async (address) => {
    const attempt = new TcpNetwork().connect(address, NEAR, TIMEOUT)
    await expect(attempt).rejects.toMatchObject({ kind: 'unreachable' })
  })

  test('no secret that is too short', () => {
    const wrong = (text: string): Error =>
      expect.objectContaining({ code: 'BadDefinition', message: expect.stringContaining(text) as string }) as Error
    expect(() => new TcpNetwork({ secrets: [SECRET, 'short'] })).toThrow(wrong('network.secrets[1] has 5 bytes'))
    expect(() => new TcpNetwork({ secrets: [new Uint8Array(31)] })).toThrow(
      wrong("make one with 'openssl rand -hex 32'"),
    )
    expect(() => new TcpNetwork({ secrets: SECRET as never })).toThrow(wrong('network.secrets is no list'))
    expect(() => new TcpNetwork({ secrets: [undefined] as never })).toThrow(
      wrong('secrets[0] is neither text nor bytes'),
    )
  })
})

describe('a shared secret', () => {
  test('is shown by nothing', async () => {
    const network = new TcpNetwork({ secrets: [SECRET], tls: certificates.ours })
    const shown = inspect(network, { depth: 9, showHidden: true }) + JSON.stringify(network)
    const door = await new Door({ secrets: [SECRET] }).open()
    const error = await connect(door, { secrets: [OTHER] }).catch((failure: unknown) => failure)
    for (const text of [shown, inspect(error, { depth: 9 })]) {
      expect(text).not.toContain(SECRET)
      expect(text).not.toContain(OTHER)
      expect(text).not.toContain(Buffer.from(SECRET).toString('hex').slice(0, 16))
    }
  })

  test.each<[string, string[], string[]]>([
    ['another', [OTHER], [SECRET]],
    ['none here', [], [SECRET]],
    ['none there', [SECRET], []],
    ['one that the other accepts no more', [OTHER, SECRET], [SECRET]],
  ])('that does not fit is refused, and both are told: %s', async (_, own, theirs) => {
    const door = await new Door({ secrets: theirs }).open()
    await expect(connect(door, { secrets: own })).rejects.toMatchObject({ kind: 'unproven' })
    expect(await door.refused(1)).toEqual({ unproven: 1 })
    expect(door.accepted.count).toBe(0)
  })

  test.each<[string[], string[]]>([
    [[SECRET], [SECRET, OTHER]],
    [
      [SECRET, OTHER],
      [OTHER, SECRET],
    ],
    [
      [OTHER, SECRET],
      [SECRET, OTHER],
    ],
    [[OTHER], [SECRET, OTHER]],
  ])('can be changed in steps: %j talks to %j', async (own, theirs) => {
    const door = await new Door({ secrets: theirs }).open()
    await connect(door, { secrets: own })
    expect((await door.accepted.next()).peer).toEqual(NEAR)
  })
})

describe('a stranger at the door costs nobody else anything', () => {
  const options = { secrets: [SECRET] }

  test.each<[string, Uint8Array]>([
    ['garbage', frameOf(1000)],
    ['one wrong byte', Uint8Array.of(0x51)],
    ['a request of HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['the beginning of TLS', Buffer.from('160301020001', 'hex')],
    ['a hello of a role that nobody has', shake('initiator').start()!.with(6, 3)],
    ['a hello of a purpose that nobody has', shake('initiator').start()!.with(7, 0)],
    ['a hello of a member that has no id', shake('initiator').start()!.with(38, 0xff)],
    ['a hello of no version', shake('initiator').start()!.with(4, 0)],
  ])('who says %s', async (_, bytes) => {
    const door = await new Door(options).open()
    const works = await honest(door, options)
    const stranger = await door.stranger()
    stranger.write(bytes)
    await ended(stranger)
    expect(await door.refused(1)).toEqual({ stranger: 1 })
    await works()
    expect(door.accepted.count).toBe(1)
  })

  test('who makes up a proof, and is told that it is wrong', async () => {
    const door = await new Door(options).open()
    const stranger = await door.stranger()
    const answer: Buffer[] = []
    stranger.on('data', (bytes: Buffer) => answer.push(bytes))
    stranger.write(shake('initiator').start()!)
    stranger.write(new Uint8Array(PROOF_BYTES).fill(1))
    await ended(stranger)
    expect(Buffer.concat(answer)).toHaveLength(HANDSHAKE_BYTES)
    expect(Buffer.concat(answer)[HELLO_BYTES]).toBe(2)
    expect(await door.refused(1)).toEqual({ unproven: 1 })
    expect(door.accepted.count).toBe(0)
  })

  test('who stops after a few bytes', async () => {
    // Time enough for the honest ones on a machine that stalls.
    const door = await new Door({ ...options, handshakeMs: 4_000 }).open()
    const works = await honest(door, options)
    const counts = [0, 1, 79, 80, 112]
    const strangers = await Promise.all(counts.map(() => door.stranger()))
    const bytes = new Uint8Array(HANDSHAKE_BYTES).fill(1)
    bytes.set(shake('initiator').start()!)
    for (const [i, stranger] of strangers.entries()) stranger.write(bytes.subarray(0, counts[i]))
    await Promise.all(strangers.map(ended))
    expect(await door.refused(counts.length)).toEqual({ timeout: counts.length })
    await works()
  })

  test('who resets the connection after any byte of the handshake', async () => {
    const door = await new Door(options).open()
    const works = await honest(door, options)
    for (let count = 0; count < HANDSHAKE_BYTES; count += 1) {
      const stranger = await door.stranger()
      const bytes = new Uint8Array(HANDSHAKE_BYTES).fill(1)
      bytes.set(shake('initiator').start()!)
      if (count === 0) stranger.resetAndDestroy()
      else stranger.write(bytes.subarray(0, count), () => stranger.resetAndDestroy())
    }
    expect(await door.refused(HANDSHAKE_BYTES)).toEqual({ broken: HANDSHAKE_BYTES })
    await works()
  })

  test.each<[string, TcpNetworkOptions]>([
    ['TCP', { secrets: [SECRET] }],
    ['TLS', { tls: certificates.ours }],
  ])('who holds all places over %s: the oldest go, and peers come in', async (_, security) => {
    const door = await new Door({ ...security, handshakeMs: 60_000 }).open()
    const works = await honest(door, security)
    const strangers: Socket[] = []
    for (let i = 0; i < UNFINISHED_MAX + 40; i += 1) strangers.push(await door.stranger())
    await Promise.all(strangers.slice(0, 40).map(ended))
    expect(await door.refused(40)).toEqual({ broken: 40 })
    await works()
    await connect(door, security)
    await door.accepted.next()
    expect(strangers.at(-1)!.closed).toBe(false)
    await door.listener.close()
    await Promise.all(strangers.map(ended))
  })
})

describe('a peer that breaks the rules costs nobody else anything', () => {
  const options = { secrets: [SECRET] }
  const header = (length: number): Uint8Array => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(length)
    return bytes
  }

  test.each([FRAME_BYTES_MAX + 1, 2 ** 31, 2 ** 32 - 1])(
    'with a frame of %i bytes, which is never given memory',
    async (length) => {
      const door = await new Door(options).open()
      const works = await honest(door, options)
      const peer = await door.peer()
      const connection = await door.accepted.next()
      const end = closed(connection)
      const received: number[] = []
      connection.onFrame((frame) => received.push(frame.length))
      peer.write(Buffer.concat([header(2), Uint8Array.of(1, 2), header(length), frameOf(100)]))
      expect(await end).toMatchObject({ kind: 'too-large', message: expect.stringContaining(String(length)) as string })
      expect(received).toEqual([2])
      await ended(peer)
      await works()
    },
  )

  test.each<[string, (peer: Socket) => unknown]>([
    ['leaves', (peer) => peer.end()],
    ['resets the connection', (peer) => peer.resetAndDestroy()],
  ])('when it %s within a frame', async (_, leave) => {
    const door = await new Door(options).open()
    const works = await honest(door, options)
    const peer = await door.peer()
    const connection = await door.accepted.next()
    const end = closed(connection)
    connection.onFrame(() => expect.unreachable())
    peer.write(Buffer.concat([header(5), frameOf(4)]), () => leave(peer))
    expect(await end).toMatchObject({ kind: 'broken' })
    await works()
  })

  test('when it sends one byte at a time, it is understood', async () => {
    const door = await new Door(options).open()
    const peer = await door.peer()
    peer.setNoDelay(true)
    const arrived = frames(await door.accepted.next(), 3)
    for (const byte of Buffer.concat([header(2), frameOf(2), header(0), header(1), frameOf(1)]))
      await new Promise((resolve) => peer.write(Uint8Array.of(byte), resolve))
    expect(await arrived).toEqual([frameOf(2), frameOf(0), frameOf(1)])
  })

  test('when it takes nothing, its connection is closed at the limit of its backlog', async () => {
    const door = await new Door(options).open()
    const works = await honest(door, options)
    await door.peer()
    const connection = await door.accepted.next()
    const end = closed(connection)
    connection.onFrame(() => expect.unreachable())
    for (let sent = 0; sent < 2 * BACKLOG_BYTES_MAX; sent += 1_000_000) connection.send(frameOf(1_000_000))
    expect(await end).toMatchObject({ kind: 'too-slow' })
    expect(connection.backlogBytes).toBe(0)
    await works()
  })

  test('when it sends frames together with the end of its handshake, none is lost', async () => {
    const door = await new Door(options).open()
    const stranger = await door.stranger()
    const handshake = shake('initiator')
    stranger.write(handshake.start()!)
    const hello = await new Promise<Buffer>((resolve) => stranger.once('data', resolve))
    const { send: proof } = handshake.read(hello)
    stranger.write(Buffer.concat([proof!, header(3), frameOf(3), header(2), frameOf(1)]))
    const arrived = frames(await door.accepted.next(), 2)
    stranger.write(frameOf(2).subarray(1))
    expect(await arrived).toEqual([frameOf(3), frameOf(2)])
  })

  test('when a paused end is sent much, the sender is held back, not memory filled', async () => {
    const door = await new Door(options).open()
    const peer = await door.peer()
    const connection = await door.accepted.next()
    connection.pause()
    connection.onFrame(() => expect.unreachable())
    const chunk = Buffer.concat([header(60_000), frameOf(60_000)])
    // Until the systems between have taken what they hold.
    for (let written = 0; written < 64_000_000; written += chunk.length) peer.write(chunk)
    await connect(door, options)
    await door.accepted.next()
    expect(peer.writableLength).toBeGreaterThan(32_000_000)
  })
})

describe('who is called may be anybody', () => {
  const answer = async (serve: (socket: Socket) => void): Promise<string> => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined)
      serve(socket)
    })
    open.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${(server.address() as net.AddressInfo).port}`
  }
  const call = async (serve: (socket: Socket) => void, timeoutMs = 20_000): Promise<unknown> => {
    const network = new TcpNetwork({ secrets: [SECRET] })
    return network.connect(await answer(serve), NEAR, { timeoutMs }).catch((error: unknown) => error)
  }

  test('who says nothing is waited for until the time is up', async () => {
    expect(await call(() => undefined, 200)).toMatchObject({ kind: 'timeout' })
  })
  test('who says something else is a stranger', async () => {
    expect(await call((socket) => socket.end('220 mail.example ESMTP\r\n'))).toMatchObject({ kind: 'stranger' })
  })
  test('who leaves is named', async () => {
    expect(await call((socket) => socket.end())).toMatchObject({ kind: 'broken' })
    expect(await call((socket) => socket.once('data', () => socket.resetAndDestroy()))).toMatchObject({
      kind: 'broken',
    })
  })
  test('who sends back what it hears proves nothing', async () => {
    expect(await call((socket) => socket.pipe(socket))).toMatchObject({ kind: 'unproven' })
  })
  test('who floods is not listened to', async () => {
    const hello = shake('initiator').start()!
    expect(await call((socket) => socket.write(Buffer.concat([hello, frameOf(1_000_000)])))).toMatchObject({
      kind: 'stranger',
    })
  })
})
