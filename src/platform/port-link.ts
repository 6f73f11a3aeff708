/** A link over a MessagePort: frames are transferred, not copied. */
import type { MessagePort } from 'node:worker_threads'
import type { Link } from '../cluster/link.ts'

export function createPortLink(port: MessagePort): Link {
  return {
    send: (frame) => port.postMessage(frame, [frame.buffer]),
    onFrame: (receive) => port.on('message', receive),
    close: () => port.close(),
  }
}
