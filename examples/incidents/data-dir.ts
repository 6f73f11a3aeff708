import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DemoError, messageOf } from './demo-error.ts'

/** A directory for the log: the one that was named, or one that is removed when it is disposed of. */
export async function openDataDir(named: string | undefined): Promise<AsyncDisposable & { readonly path: string }> {
  try {
    if (named === undefined) {
      const path = await mkdtemp(join(tmpdir(), 'penhold-incidents-'))
      return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
    }
    await mkdir(named, { recursive: true })
    return { path: named, [Symbol.asyncDispose]: () => Promise.resolve() }
  } catch (error) {
    throw new DemoError(`there is no place for the log: ${messageOf(error)}`, { cause: error })
  }
}
