/** Which event of a window is next where those of one stream come one after the other, and streams beside each other. */
import type { Entry } from './window.ts'

export class StreamQueues {
  /** Those of a stream that are not done, in order. */
  readonly #streams = new Map<string, Entry[]>()
  /** The first of their streams that wait for nothing. */
  readonly #ready: Entry[] = []

  add(entry: Entry): void {
    const { stream } = entry.event
    const queue = this.#streams.get(stream)
    if (queue === undefined) {
      this.#streams.set(stream, [entry])
      this.#ready.push(entry)
    } else queue.push(entry)
  }

  /** One to begin with. It is under way until it is `done`, or is to be tried `again`. */
  take(): Entry | undefined {
    const entry = this.#ready.shift()
    if (entry !== undefined) entry.state = 'under way'
    return entry
  }

  again(entry: Entry): void {
    entry.state = 'waiting'
    this.#ready.unshift(entry)
  }

  /** The next of its stream may begin. */
  done(entry: Entry): void {
    const { stream } = entry.event
    const queue = this.#streams.get(stream)!
    queue.shift()
    const [next] = queue
    if (next === undefined) this.#streams.delete(stream)
    else this.#ready.push(next)
  }

  /** Lets go of a stream, and says what it had. */
  drop(stream: string): readonly Entry[] {
    const queue = this.#streams.get(stream) ?? []
    this.#streams.delete(stream)
    const ready = this.#ready.indexOf(queue[0]!)
    if (ready >= 0) this.#ready.splice(ready, 1)
    return queue
  }
}
