import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createPortLink } from '../../src/platform/port-link.ts'

test('a link that is closed takes nothing any more, not even what was there before', async () => {
  const { port1, port2 } = new MessageChannel()
  const [near, far] = [createPortLink(port1), createPortLink(port2)]
  const taken: number[] = []
  const closed = new Promise((resolve) => port1.once('close', resolve))
  far.onFrame(([number]) => {
    taken.push(number!)
    if (number === 2) far.close()
  })
  for (const number of [1, 2, 3, 4]) near.send(Uint8Array.of(number))
  await closed
  expect(taken).toEqual([1, 2])
})

test('a link is full while the other end takes nothing, and drains once it does', async () => {
  const { port1, port2 } = new MessageChannel()
  const [near, far] = [createPortLink(port1), createPortLink(port2)]
  near.onFrame(() => undefined)
  const drained = new Promise<void>((resolve) => near.onDrain(resolve))
  const sent = 20
  for (let i = 0; i < sent; i += 1) near.send(new Uint8Array(1_000_000))
  expect(near.isFull).toBe(true)
  let taken = 0
  far.onFrame(() => void (taken += 1))
  await drained
  expect(near.isFull).toBe(false)
  expect(taken).toBeGreaterThan(sent / 2)
  near.close()
})
