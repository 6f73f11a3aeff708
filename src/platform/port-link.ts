/** A link over a MessagePort: frames are transferred, not copied. Of a closed one, no event that is already due is told. */
import type { MessagePort } from 'node:worker_threads'
import type { Link } from '../cluster/link.ts'

export function createPortLink(port: MessagePort): Link {
  let isClosed = false
  return {
    send: (frame) => port.postMessage(frame, [frame.buffer]),
    onFrame: (receive) => port.on('message', (frame) => (isClosed ? undefined : receive(frame))),
    isFull: false,
    onDrain: () => undefined,
    close() {
      isClosed = true
      port.close()
    },
  }
}
