import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { blocking, type FileCalls } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { temporaryFolder } from '../temporary.ts'

/** The real calls, of which one fails; with the descriptors that are open. */
function failing(name: keyof FileCalls, code: string): { readonly calls: FileCalls; readonly open: Set<number> } {
  const open = new Set<number>()
  const calls: FileCalls = {
    ...blocking,
    async open(path, flags, mode) {
      const file = await blocking.open(path, flags, mode)
      open.add(file)
      return file
    },
    async close(file) {
      await blocking.close(file)
      open.delete(file)
    },
    [name]: () => Promise.reject(Object.assign(new Error(`${name} failed`), { code })),
  }
  return { calls, open }
}

test('a log whose name cannot be made durable is not there, and holds no descriptor', async () => {
  const root = temporaryFolder()
  const { calls, open } = failing('fullSync', 'EIO')
  await expect(new FileStorage(root, calls).createLog('l')).rejects.toMatchObject({ code: 'EIO' })
  expect(open.size).toBe(0)
  expect(fs.readdirSync(root)).toEqual([])
})

test('a file that finds no room leaves nothing behind', async () => {
  const root = temporaryFolder()
  const { calls, open } = failing('write', 'ENOSPC')
  const storage = new FileStorage(root, calls)
  await expect(storage.createExclusive('a', Buffer.from('a'))).rejects.toMatchObject({ code: 'ENOSPC' })
  await expect(storage.replace('a', Buffer.from('a'))).rejects.toMatchObject({ code: 'ENOSPC' })
  expect(open.size).toBe(0)
  expect(fs.readdirSync(root)).toEqual([])
})

test('a look that cannot tell whether a file is there says so, and does not take it for missing', () => {
  const root = temporaryFolder()
  const storage = new FileStorage(root, blocking)
  fs.mkdirSync(join(root, 'journals'))
  expect(storage.exists('journals/1.fence')).toBe(false)
  expect(storage.exists('gone/1.fence')).toBe(false)
  fs.symlinkSync('loop', join(root, 'loop'))
  expect(() => storage.exists('loop/1.fence')).toThrow('ELOOP')
})
