/** A node of the example as the one who started it has it. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { DemoError } from '../incidents/demo-error.ts'
import type { ReadModels } from '../incidents/read-models/read-models.ts'
import type { Tally } from '../incidents/tally.ts'
import type { FromNode, Job, Taken, ToNode } from './message.ts'

export class NodeProcess {
  /** Rows taken in so far. */
  rows = 0
  /** The longest that a caller has waited since somebody set it back. */
  slowestMs = 0
  isTaking = false
  readonly #child: ChildProcess
  readonly #name: string

  private constructor(child: ChildProcess, name: string) {
    this.#child = child
    this.#name = name
    child.on('message', (said: FromNode) => {
      if (said.kind !== 'rows') return
      this.rows = said.rows
      this.slowestMs = Math.max(this.slowestMs, said.slowestMs)
    })
  }

  /** Resolves when it serves. */
  static async start(given: {
    readonly dataDir: string
    readonly redis: string
    readonly name: string
  }): Promise<NodeProcess> {
    const script = fileURLToPath(new URL('node.ts', import.meta.url))
    const node = new NodeProcess(fork(script, [given.dataDir, given.redis, given.name]), given.name)
    await node.#said('serving')
    return node
  }

  /** Takes in the rows of a part, through this node. */
  async take(job: Job): Promise<Taken> {
    this.isTaking = true
    this.#tell({ kind: 'take', job })
    try {
      return await this.#said('taken')
    } finally {
      this.isTaking = false
    }
  }

  async tally(numbers: readonly string[]): Promise<Tally> {
    this.#tell({ kind: 'tally', numbers })
    return (await this.#said('tallied')).tally
  }

  /** What the read models say, asked at this node, with all up to a position. */
  async readModels(after: number): Promise<ReadModels> {
    this.#tell({ kind: 'ask', after })
    return (await this.#said('asked')).readModels
  }

  /** It hands its shards over and ends. */
  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#tell({ kind: 'close' })
    await ended
  }

  /** It ends at once, wherever it is. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #tell(message: ToNode): void {
    this.#child.send(message)
  }

  /** @throws DemoError where it ends, or fails, before it says so */
  #said<Kind extends FromNode['kind']>(kind: Kind): Promise<FromNode & { readonly kind: Kind }> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new DemoError(`${this.#name} ${why}`))
      const onMessage = (said: FromNode): void => {
        if (said.kind === 'failed') fail(`failed: ${said.message}`)
        if (said.kind !== kind) return
        this.#child.off('message', onMessage)
        resolve(said as FromNode & { readonly kind: Kind })
      }
      this.#child.on('message', onMessage)
      this.#child.once('exit', (code, signal) => fail(`ended with ${signal ?? code}`))
    })
  }
}
