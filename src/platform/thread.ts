/**
 * Threads: starting one, talking to it, ending it whatever it is doing. What is said is plain data; frames go over a
 * port of their own (port-link.ts), so that control never queues behind them.
 */
import { extname } from 'node:path'
import { MessageChannel, parentPort, Worker as NodeWorker, workerData, type MessagePort } from 'node:worker_threads'
import type { Link } from '../cluster/link.ts'
import { createPortLink } from './port-link.ts'

export interface Thread {
  readonly link: Link
  post(message: unknown): void
  /** One more link to the thread. Its other end goes there in the message that `wrap` makes of it, for `linkOver`. */
  connect(wrap: (port: unknown) => unknown): Link
  /** Ends the thread at once; resolves when nothing of it runs any more. */
  terminate(): Promise<void>
}

export interface ThreadEvents {
  readonly onMessage: (message: unknown) => void
  /** The thread has ended, by itself or not; with the error that ended it, where one did. */
  readonly onEnd: (error: unknown) => void
}

/** Starts a thread that runs `entry`, the name of a module in `node/` without its ending. */
export function startThread(entry: string, data: object, events: ThreadEvents): Thread {
  const { port1, port2 } = new MessageChannel()
  // The same ending as this module has: .ts in development, .js when built.
  const url = new URL(`../node/${entry}${extname(import.meta.url)}`, import.meta.url)
  const thread = new NodeWorker(url, { workerData: { ...data, port: port2 }, transferList: [port2] })
  let failure: unknown
  thread.on('message', events.onMessage)
  thread.on('error', (error) => (failure = error))
  thread.on('exit', (code) => events.onEnd(failure ?? new Error(`the thread ended with code ${code}`)))
  return {
    link: createPortLink(port1),
    post: (message) => thread.postMessage(message),
    connect(wrap) {
      const channel = new MessageChannel()
      thread.postMessage(wrap(channel.port2), [channel.port2])
      return createPortLink(channel.port1)
    },
    terminate: async () => void (await thread.terminate()),
  }
}

/** The thread's end of a link that `connect` made. */
export function linkOver(port: unknown): Link {
  return createPortLink(port as MessagePort)
}

/** The inside of a thread: what it was started with and how it talks to whoever started it. */
export function insideThread<Data extends object>(): {
  readonly data: Data
  readonly link: Link
  post(message: unknown): void
  onMessage(receive: (message: unknown) => void): void
  /** Ends the thread once nothing is left to do. */
  close(): void
} {
  if (parentPort === null) throw new Error('this module runs in a worker thread only')
  const parent = parentPort
  const { port, ...data } = workerData as Data & { readonly port: MessagePort }
  return {
    data: data as unknown as Data,
    link: createPortLink(port),
    post: (message) => parent.postMessage(message),
    onMessage: (receive) => void parent.on('message', receive),
    close() {
      parent.close()
      port.close()
    },
  }
}
