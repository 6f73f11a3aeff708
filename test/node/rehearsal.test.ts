import { expect, test } from 'vitest'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import type { LogFile } from '../../src/log/storage.ts'
import { rehearse } from '../../src/node/rehearsal.ts'

/** As many as come to an owner in a rehearsal that gets to its end. */
const SHARDS_MOVED = 48

/** Memory of which, after so many calls that make something, each that follows comes to nothing, or never to an end. */
class FailingStorage extends MemoryStorage {
  #left: number
  readonly #failure: () => Promise<never>
  open = 0

  constructor(calls: number, failure: () => Promise<never>) {
    super()
    this.#left = calls
    this.#failure = failure
  }

  override async createExclusive(path: string, content: Uint8Array): Promise<boolean> {
    await this.#count()
    return super.createExclusive(path, content)
  }

  override async createLog(path: string): Promise<LogFile> {
    await this.#count()
    const file = await super.createLog(path)
    this.open += 1
    return {
      write: async (offset, bytes) => (await this.#count(), file.write(offset, bytes)),
      sync: () => file.sync(),
      truncate: (length) => file.truncate(length),
      close: async () => void (this.open -= 1),
    }
  }

  async #count(): Promise<void> {
    this.#left -= 1
    if (this.#left < 0) await this.#failure()
  }
}

const failsWith = (code: string) => () => Promise.reject(Object.assign(new Error(`the disk says ${code}`), { code }))
const never = (): Promise<never> => new Promise(() => undefined)

test('each of six workers takes all shards over, and there is nothing to tell', async () => {
  const warnings: string[] = []
  expect(await rehearse({ onWarning: (message) => warnings.push(message) })).toBe(SHARDS_MOVED)
  expect(warnings).toEqual([])
})

test.for([0, 1, 5, 20, 40, 60, 80])(
  'what fails from the call after %i on is told, and the worker goes on',
  async (calls) => {
    const warnings: string[] = []
    const storage = new FailingStorage(calls, failsWith('EIO'))
    expect(await rehearse({ onWarning: (message) => warnings.push(message), storage })).toBeLessThan(SHARDS_MOVED)
    expect(warnings).toEqual([expect.stringMatching(/^the first shards .* could not rehearse that: (?!it took)/)])
    await expect.poll(() => storage.open).toBe(0)
  },
)

test.for([0, 20, 60])('what comes to no end after call %i is left off', async (calls) => {
  const warnings: string[] = []
  const storage = new FailingStorage(calls, never)
  expect(await rehearse({ onWarning: (message) => warnings.push(message), storage, msMax: 200 })).toBeLessThan(
    SHARDS_MOVED,
  )
  expect(warnings).toEqual([expect.stringMatching(/could not rehearse that: it took more than 200 ms$/)])
})
