/** The mail server as the one who started it has it. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DemoError } from '../demo-error.ts'

/** `takes and denies`: it has the mail, and its sender hears that it has not. */
export type Mood = 'well' | 'refuses' | 'takes and denies'

export interface ReceivedMail {
  /** Its Message-ID. */
  readonly id: string
  readonly to: string
  readonly subject: string
}

export type FromMailServer =
  { readonly kind: 'listening'; readonly port: number } | { readonly kind: 'mood'; readonly mood: Mood }

export class MailServer implements AsyncDisposable {
  readonly #file: string
  #child: ChildProcess
  #port: number

  private constructor(file: string, { child, port }: Listening) {
    this.#file = file
    this.#child = child
    this.#port = port
  }

  /**
   * Resolves when it listens, on loopback.
   * @param file where it keeps what it takes
   */
  static async start(file: string): Promise<MailServer> {
    return new MailServer(file, await listen(file, 0))
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`
  }

  /** All that it has taken, as often as it came. */
  mails(): readonly ReceivedMail[] {
    if (!existsSync(this.#file)) return []
    const lines = readFileSync(this.#file, 'utf8').split('\n')
    // The last one is empty, or not whole yet.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as ReceivedMail)
  }

  async be(mood: Mood): Promise<void> {
    const heard = once(this.#child, 'message')
    this.#child.send(mood)
    await heard
  }

  /** It is away at once, and what is under way breaks off. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  /** After `kill`: it is back at the same place, well. */
  async comeBack(): Promise<void> {
    ;({ child: this.#child, port: this.#port } = await listen(this.#file, this.#port))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

interface Listening {
  readonly child: ChildProcess
  readonly port: number
}

async function listen(file: string, port: number): Promise<Listening> {
  const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), [file, String(port)])
  const ended = once(child, 'exit').then(([code]: unknown[]) => {
    throw new DemoError(`the mail server ended at once, with code ${String(code)}`)
  })
  const [said] = (await Promise.race([once(child, 'message'), ended])) as [FromMailServer & { kind: 'listening' }]
  ended.catch(() => undefined)
  return { child, port: said.port }
}
