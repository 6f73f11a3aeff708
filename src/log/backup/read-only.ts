/** Storage that can only be read: whoever looks at a log through it leaves nothing there, not even an index. */
import type { Storage } from '../storage.ts'

export type Readable = Pick<Storage, 'openRead' | 'list' | 'exists'>

export function readOnly(storage: Readable): Storage {
  const refuse = (): Promise<never> => Promise.reject(new Error('this is only read'))
  return {
    openRead: (path) => storage.openRead(path),
    list: (path) => storage.list(path),
    exists: (path) => storage.exists(path),
    createExclusive: refuse,
    createMark: refuse,
    createFolder: refuse,
    createLog: refuse,
    replace: refuse,
    replaceDurably: refuse,
    remove: refuse,
    removeFolder: refuse,
  }
}
