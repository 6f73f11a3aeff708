import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  BACKLOG_BYTES_MAX,
  BACKLOG_HIGH_BYTES,
  BACKLOG_LOW_BYTES,
  FRAME_BYTES_MAX,
  type Connection,
  type Greeting,
  type Listener,
  type Network,
} from '../../src/cluster/network.ts'
import { Accepted, closed, FAR, frameOf, frames, NEAR } from './network-ends.ts'

export interface NetworkUnderTest {
  /** The network as each of two nodes has it. */
  readonly near: Network
  readonly far: Network
  /** Where the far node may listen, on any port. */
  readonly address: string
  /** An address at which nobody listens. */
  readonly nowhere: string
  /** Lets things happen until the promise is settled. */
  until<T>(promise: Promise<T>): Promise<T>
  cleanUp(): void
}

const TIMEOUT = { timeoutMs: 20_000 }

/** What every implementation of the network port must keep. */
export function testNetworkContract(name: string, create: () => NetworkUnderTest): void {
  describe(`${name} keeps the network port's promise`, () => {
    let subject: NetworkUnderTest
    let accepted: Accepted
    let listener: Listener
    let greeting: Greeting
    const open: Connection[] = []

    beforeEach(async () => {
      subject = create()
      accepted = new Accepted()
      greeting = FAR
      listener = await subject.until(subject.far.listen(subject.address, () => greeting, accepted.take))
    })
    afterEach(async () => {
      for (const connection of open.splice(0)) connection.close()
      await listener.close()
      subject.cleanUp()
    })

    const connect = async (own: Greeting = NEAR): Promise<Connection> => {
      const connection = await subject.until(subject.near.connect(listener.address, own, TIMEOUT))
      open.push(connection)
      return connection
    }
    const pair = async (): Promise<[near: Connection, far: Connection]> => {
      const near = await connect()
      const far = await subject.until(accepted.next())
      open.push(far)
      return [near, far]
    }

    test('each end learns who the other is', async () => {
      const [near, far] = await pair()
      expect(near.peer).toEqual(FAR)
      expect(far.peer).toEqual(NEAR)
      expect([near.protocol, far.protocol]).toEqual([2, 2])
    })

    test('frames of all sizes arrive whole and in order, both ways, in memory of their own', async () => {
      const [near, far] = await pair()
      const sizes = [0, 1, 0, 3, 4, 8191, 8192, 8193, 65_531, 65_532, 65_536, 1_000_003, FRAME_BYTES_MAX, 2]
      const sent = sizes.map((size, i) => frameOf(size, i))
      const arrived = [frames(near, sent.length), frames(far, sent.length)]
      for (const frame of sent) {
        near.send(frame)
        far.send(frame)
      }
      for (const received of await subject.until(Promise.all(arrived))) {
        expect(received.map(({ length }) => length)).toEqual(sizes)
        for (const [i, frame] of received.entries()) {
          expect(Buffer.compare(frame, sent[i]!)).toBe(0)
          expect(frame.buffer.byteLength).toBe(frame.length)
        }
      }
    })

    test('thousands of small frames arrive in the order in which they were sent', async () => {
      const [near, far] = await pair()
      const arrived = frames(far, 20_000)
      for (let i = 0; i < 20_000; i += 1) near.send(Uint8Array.of(i, i >>> 8))
      const numbers = (await subject.until(arrived)).map((frame) => frame[0]! | (frame[1]! << 8))
      expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, i) => i))
    })

    test('frames sent before anybody takes them are there when somebody does', async () => {
      const near = await connect()
      near.send(frameOf(10))
      const far = await subject.until(accepted.next())
      far.send(frameOf(20))
      expect(await subject.until(frames(near, 1))).toEqual([frameOf(20)])
      expect(await subject.until(frames(far, 1))).toEqual([frameOf(10)])
    })

    test('what was sent before a close arrives, and both ends are told once', async () => {
      const [near, far] = await pair()
      const told: string[] = []
      near.onClose(({ kind }) => told.push(`near ${kind}`))
      const [received, end] = [frames(far, 3), closed(far)]
      near.onFrame(() => told.push('a frame'))
      for (const size of [1, 5_000_000, 3]) near.send(frameOf(size))
      near.close()
      near.close()
      near.send(frameOf(4))
      expect((await subject.until(received)).map(({ length }) => length)).toEqual([1, 5_000_000, 3])
      expect(await subject.until(end)).toMatchObject({ name: 'ConnectionError', kind: 'closed' })
      far.send(frameOf(5))
      far.close()
      // A second connection's whole life is time enough for the first to be told again.
      const [other, otherFar] = await pair()
      const otherEnd = closed(otherFar)
      otherFar.onFrame(() => undefined)
      other.close()
      await subject.until(otherEnd)
      expect(told).toEqual(['near closed'])
    })

    test('who asks after the end why it came is told', async () => {
      const [near, far] = await pair()
      far.close()
      const end = closed(near)
      near.onFrame(() => undefined)
      await subject.until(end)
      expect(await subject.until(closed(far))).toMatchObject({ kind: 'closed' })
    })

    test('a connection to nobody is refused', async () => {
      const attempt = subject.near.connect(subject.nowhere, NEAR, TIMEOUT)
      await expect(subject.until(attempt)).rejects.toMatchObject({ name: 'ConnectionError', kind: 'unreachable' })
      await listener.close()
      await expect(connect()).rejects.toMatchObject({ kind: 'unreachable' })
    })

    test('an address is taken once', async () => {
      const again = subject.far.listen(listener.address, () => FAR, accepted.take)
      await expect(subject.until(again)).rejects.toMatchObject({ kind: 'unreachable' })
    })

    test.each(['nothing', 'a:b', ':1', '1.2.3.4:', 'a:70000', 'a b:1', '[a]:1'])(
      '%j is no address',
      async (address) => {
        const wrong = { code: 'BadDefinition' }
        await expect(subject.until(subject.near.connect(address, NEAR, TIMEOUT))).rejects.toMatchObject(wrong)
        await expect(subject.until(subject.far.listen(address, () => FAR, accepted.take))).rejects.toMatchObject(wrong)
      },
    )

    test.each([
      [2, 1, 1],
      [1, 2, 1],
      [9, 9, 9],
    ])('versions %i and %i speak %i', async (own, theirs, agreed) => {
      greeting = { ...FAR, protocol: theirs }
      const near = await connect({ ...NEAR, protocol: own })
      const far = await subject.until(accepted.next())
      expect([near.protocol, far.protocol]).toEqual([agreed, agreed])
    })

    test.each([
      [3, 1],
      [1, 3],
    ])('versions %i and %i speak nothing, and are named', async (own, theirs) => {
      greeting = { ...FAR, protocol: theirs }
      const attempt = connect({ ...NEAR, protocol: own })
      await expect(attempt).rejects.toMatchObject({ kind: 'other-protocol' })
      await expect(attempt).rejects.toThrow(new RegExp(`speaks protocol version ${theirs}, this one ${own}`))
      expect(accepted.count).toBe(0)
    })

    test('another cluster is refused', async () => {
      const attempt = connect({ ...NEAR, cluster: new Uint8Array(16).fill(8) })
      await expect(attempt).rejects.toMatchObject({ kind: 'other-cluster' })
      await expect(attempt).rejects.toThrow('belongs to another cluster')
      expect(accepted.count).toBe(0)
    })

    test('a pause holds frames back, also the next one of the same turn, and loses none', async () => {
      const [near, far] = await pair()
      const received: number[] = []
      let wake: (() => void) | undefined
      far.onFrame((frame) => {
        received.push(frame[0]!)
        far.pause()
        wake?.()
      })
      for (let i = 0; i < 50; i += 1) near.send(Uint8Array.of(i))
      for (let i = 0; i < 50; i += 1) {
        if (received.length === i) await subject.until(new Promise<void>((resolve) => (wake = resolve)))
        // The way there and back of another connection.
        await pair()
        expect(received).toHaveLength(i + 1)
        far.resume()
      }
      expect(received).toEqual(Array.from({ length: 50 }, (_, i) => i))
    })

    test('a peer that takes nothing makes a backlog, and drains it once it does', async () => {
      const [near, far] = await pair()
      const size = 100_000
      let received = 0
      far.pause()
      far.onFrame((frame) => {
        expect(frame).toHaveLength(size)
        received += 1
      })
      let drains = 0
      const drained = new Promise<void>((resolve) => {
        near.onDrain(() => {
          drains += 1
          expect(near.backlogBytes).toBeLessThan(BACKLOG_LOW_BYTES)
          resolve()
        })
      })
      // More than systems hold between two sockets.
      const count = 400
      for (let i = 0; i < count; i += 1) near.send(frameOf(size))
      await pair()
      expect(near.backlogBytes).toBeGreaterThan(BACKLOG_HIGH_BYTES)
      expect([received, drains]).toEqual([0, 0])
      far.resume()
      await subject.until(drained)
      const end = closed(far)
      near.close()
      await subject.until(end)
      expect([received, drains]).toEqual([count, 1])
    })

    test('a backlog beyond its limit ends the connection', async () => {
      const [near, far] = await pair()
      far.pause()
      far.onFrame(() => undefined)
      const [end, farEnd] = [closed(near), closed(far)]
      const frame = frameOf(1_000_000)
      let highest = 0
      for (let i = 0; i < 200; i += 1) {
        near.send(frame)
        highest = Math.max(highest, near.backlogBytes)
      }
      expect(await subject.until(end)).toMatchObject({ kind: 'too-slow' })
      expect(highest).toBeLessThanOrEqual(BACKLOG_BYTES_MAX)
      far.resume()
      await subject.until(farEnd)
    })

    test('a frame beyond its limit ends its connection, and throws nothing', async () => {
      const [near, far] = await pair()
      const [end, farEnd] = [closed(near), closed(far)]
      far.onFrame(() => undefined)
      near.send(new Uint8Array(FRAME_BYTES_MAX + 1))
      near.send(frameOf(1))
      expect(await subject.until(end)).toMatchObject({ kind: 'too-large' })
      await subject.until(farEnd)
    })

    test('both connections between two nodes live on when one of them ends', async () => {
      const [near, far] = await pair()
      const [other, otherFar] = await pair()
      const end = closed(far)
      far.onFrame(() => undefined)
      near.close()
      await subject.until(end)
      other.send(frameOf(3))
      expect(await subject.until(frames(otherFar, 1))).toEqual([frameOf(3)])
    })
  })
}
