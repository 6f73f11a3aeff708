/** A process of this program beside this one, that looks at a volume. It is asked one thing after the other. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'

export interface PeerRequest {
  readonly does: 'exists' | 'create' | 'read'
  readonly path: string
  readonly content: Uint8Array
}

export type PeerAnswer = boolean | Uint8Array

export interface PeerProcess extends Disposable {
  ask(does: PeerRequest['does'], path: string, content?: Uint8Array): Promise<PeerAnswer>
}

const NOTHING = new Uint8Array(0)

/** `root` is the directory in which paths are. */
export function startPeerProcess(root: string): PeerProcess {
  // The same ending as this module has: .ts in development, .js when built.
  const entry = new URL(`../node/volume-peer${extname(import.meta.url)}`, import.meta.url)
  const child = fork(entry, [root], { serialization: 'advanced' })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the second process ended with code ${String(code)}`)
  })
  // Told to whoever asks.
  ended.catch(() => undefined)
  return {
    async ask(does, path, content = NOTHING) {
      const answer = once(child, 'message')
      child.send({ does, path, content })
      const [answered] = (await Promise.race([answer, ended])) as [PeerAnswer]
      return answered
    },
    [Symbol.dispose]: () => void child.kill(),
  }
}
