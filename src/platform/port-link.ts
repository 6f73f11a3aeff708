/**
 * A link over a MessagePort: frames are transferred, not copied. Of a closed one, no event that is already due is told.
 *
 * A thread that is held takes nothing, and what was posted to it is memory all the same: so the other end says now and
 * then, as a number between the frames, how many bytes it has taken.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Link } from '../cluster/link.ts'

/** With more posted and not taken the link is full, until it is down to the low mark. */
const UNTAKEN_HIGH_BYTES = 8 * 1024 * 1024
const UNTAKEN_LOW_BYTES = 2 * 1024 * 1024
/** Told at once: so seldom that small frames cost nothing more. */
const TAKEN_BYTES = 512 * 1024

export function createPortLink(port: MessagePort): Link {
  let isClosed = false
  let untaken = 0
  let isFull = false
  let taken = 0
  let receive = (_frame: Uint8Array): void => undefined
  let onDrain = (): void => undefined
  const take = (frame: Uint8Array): void => {
    taken += frame.length
    if (taken >= TAKEN_BYTES) {
      port.postMessage(taken)
      taken = 0
    }
    receive(frame)
  }
  const acknowledge = (bytes: number): void => {
    untaken -= bytes
    if (!isFull || untaken > UNTAKEN_LOW_BYTES) return
    isFull = false
    onDrain()
  }
  return {
    get isFull() {
      return isFull
    },
    onDrain: (callback) => void (onDrain = callback),
    send(frame) {
      untaken += frame.length
      if (untaken > UNTAKEN_HIGH_BYTES) isFull = true
      port.postMessage(frame, [frame.buffer])
    },
    onFrame(callback) {
      receive = callback
      port.on('message', (said: Uint8Array | number) => {
        if (isClosed) return
        if (typeof said === 'number') acknowledge(said)
        else take(said)
      })
    },
    close() {
      isClosed = true
      port.close()
    },
  }
}
