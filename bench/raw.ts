/**
 * What the disk and the encoder give, with nothing of Penhold's around them: encode an event with msgpackr, append it
 * to one file, sync it. Every other row is to be seen against this one.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Packr } from 'msgpackr'
import { collectGarbage, Sample, type Figures } from './sample.ts'

/** Through Node's thread pool, as most programs do; or by calls that hold the thread until the disk is done. */
export type RawMode = 'pool' | 'synchronous'

export interface RawOptions {
  readonly mode: RawMode
  /** Events that share a write and a sync. */
  readonly eventsPerSync: number
  readonly seconds: number
  readonly warmUpSeconds: number
}

const write = promisify(fs.write)
const dataSync = promisify(fs.fdatasync)
const EVENT_BYTES_MAX = 256
const ID = Uint8Array.from({ length: 16 }, (_, i) => 7 * i)

/** Measures in a file of its own in `dir`, and removes it. The times are those of one write and sync. */
export async function measureRaw(dir: string, options: RawOptions): Promise<Figures> {
  const path = join(dir, `raw-${options.mode}-${options.eventsPerSync}`)
  const file = fs.openSync(path, 'wx')
  try {
    const appender = new Appender(file, options)
    await appender.run(options.warmUpSeconds)
    collectGarbage()
    return await appender.run(options.seconds)
  } finally {
    fs.closeSync(file)
    fs.rmSync(path)
  }
}

class Appender {
  readonly #file: number
  readonly #options: RawOptions
  readonly #packr = new Packr({ useRecords: false })
  readonly #batch: Buffer
  #offset = 0
  #events = 0

  constructor(file: number, options: RawOptions) {
    this.#file = file
    this.#options = options
    this.#batch = Buffer.allocUnsafe(options.eventsPerSync * EVENT_BYTES_MAX)
  }

  async run(seconds: number): Promise<Figures> {
    const { mode } = this.#options
    const times = new Sample()
    const eventsBefore = this.#events
    const startMs = performance.now()
    let nowMs = startMs
    while (nowMs < startMs + seconds * 1_000) {
      const bytes = this.#encode()
      if (mode === 'pool') {
        await write(this.#file, bytes, 0, bytes.length, this.#offset)
        await dataSync(this.#file)
      } else {
        fs.writeSync(this.#file, bytes, 0, bytes.length, this.#offset)
        fs.fdatasyncSync(this.#file)
      }
      this.#offset += bytes.length
      const endMs = performance.now()
      times.add(endMs - nowMs)
      nowMs = endMs
    }
    const perSecond = (this.#events - eventsBefore) / ((nowMs - startMs) / 1_000)
    return { perSecond, p50Ms: times.percentile(50), p99Ms: times.percentile(99) }
  }

  #encode(): Uint8Array {
    let length = 0
    for (let i = 0; i < this.#options.eventsPerSync; i += 1) {
      this.#events += 1
      const encoded = this.#packr.pack(eventOf(this.#events))
      this.#batch.set(encoded, length)
      length += encoded.length
    }
    return this.#batch.subarray(0, length)
  }
}

/** What Penhold records for a deposit, as one object: about 150 bytes encoded. */
function eventOf(number: number): object {
  return {
    id: ID,
    stream: `account/W1-${number % 1_000}`,
    version: number,
    position: 2 ** 50 + number,
    time: Date.now(),
    commandId: ID,
    type: 'MoneyDeposited',
    data: { amount: number % 100 },
  }
}
