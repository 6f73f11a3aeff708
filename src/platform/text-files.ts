/** Text that is too long to be held: read line by line from a file, written bit by bit to one or to the standard output. */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { dirname } from 'node:path'

/** What is longer comes in pieces. */
const LINE_BYTES_MAX = 64 * 1024 * 1024

/** The lines of a file without their ends, as bytes. */
export async function* linesOf(path: string): AsyncGenerator<Uint8Array> {
  let pieces: Buffer[] = []
  let length = 0
  for await (const chunk of fs.createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      yield Buffer.concat([...pieces, chunk.subarray(start, end)])
      ;[pieces, length] = [[], 0]
      start = end + 1
    }
    const rest = chunk.subarray(start)
    pieces.push(rest)
    length += rest.length
    if (length < LINE_BYTES_MAX) continue
    yield Buffer.concat(pieces)
    ;[pieces, length] = [[], 0]
  }
  if (length > 0) yield Buffer.concat(pieces)
}

export interface TextOutput {
  /** Resolves once there is room for more. */
  write(text: string): Promise<void>
  /** All is written: of a file, durably and under its name. */
  finish(): Promise<void>
  /** What was written to a file is taken away. */
  discard(): Promise<void>
}

/** A file that has its name once all is in it. One that is there is replaced. */
export async function openTextFile(path: string): Promise<TextOutput> {
  const temporary = `${path}.${randomUUID()}.tmp`
  const file = await fs.promises.open(temporary, 'wx', 0o600)
  return {
    write: (text) => file.writeFile(text),
    async finish() {
      await file.sync()
      await file.close()
      await fs.promises.rename(temporary, path)
      const folder = await fs.promises.open(dirname(path), 'r')
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    },
    async discard() {
      await file.close()
      await fs.promises.unlink(temporary).catch(() => undefined)
    },
  }
}

/** Whoever reads it may go away: then `write` rejects with `EPIPE`. */
export function standardOutput(): TextOutput {
  const { stdout } = process
  // Without a listener it would end the process; the write that failed is told.
  stdout.on('error', () => undefined)
  return {
    write: (text) =>
      new Promise((resolve, reject) => {
        stdout.write(text, (error) => (error ? reject(error) : resolve()))
      }),
    finish: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  }
}
