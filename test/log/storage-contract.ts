import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readWhole, type Storage } from '../../src/log/storage.ts'

export interface StorageUnderTest {
  readonly storage: Storage
  cleanUp(): void
}

/** What every implementation of the storage port must keep. */
export function testStorageContract(name: string, create: () => StorageUnderTest): void {
  describe(`${name} keeps the storage port's promise`, () => {
    let subject: StorageUnderTest
    let storage: Storage
    beforeEach(() => {
      subject = create()
      storage = subject.storage
    })
    afterEach(() => subject.cleanUp())

    test('of several who create a file exclusively exactly one wins, and the file is whole', async () => {
      const contents = Array.from({ length: 8 }, (_, i) => Buffer.from(`winner ${i}`))
      const results = await Promise.all(contents.map((content) => storage.createExclusive('a', content)))
      expect(results.filter(Boolean)).toHaveLength(1)
      const content = Buffer.from((await readWhole(storage, 'a'))!).toString()
      expect(content).toBe(`winner ${results.indexOf(true)}`)
    })

    test('of several who create a folder or a mark exactly one wins', async () => {
      await storage.createFolder('f/g')
      const folders = await Promise.all([1, 2, 3].map(() => storage.createFolder('f/g/h')))
      expect(folders.filter(Boolean)).toHaveLength(1)
      const marks = await Promise.all([1, 2, 3].map(() => storage.createMark('f/g/m')))
      expect(marks.filter(Boolean)).toHaveLength(1)
      expect(await storage.list('f/g')).toEqual(['h', 'm'])
    })

    test('only an empty folder is removed, and its name is free again', async () => {
      await storage.createFolder('f/g')
      await storage.createMark('f/g/m')
      await expect(storage.removeFolder('f/g')).rejects.toMatchObject({ code: 'ENOTEMPTY' })
      await storage.remove('f/g/m')
      await storage.removeFolder('f/g')
      expect(await storage.list('f')).toEqual([])
      expect(await storage.createFolder('f/g')).toBe(true)
    })

    test('a file is seen by the look as soon as it was created, and not before', async () => {
      await storage.createFolder('f')
      expect(storage.exists('f/m')).toBe(false)
      await storage.createMark('f/m')
      expect(storage.exists('f/m')).toBe(true)
    })

    test('a log is written at any place, read back in ranges, and cut', async () => {
      const log = await storage.createLog('l')
      await log.write(0, Buffer.from('0123456789'))
      await log.write(4, Buffer.from('xy'))
      await log.write(12, Buffer.from('!'))
      await log.sync()
      const file = (await storage.openRead('l'))!
      expect(Buffer.from(await file.read(2, 6)).toString()).toBe('23xy67')
      expect(Buffer.from(await file.read(8, 100)).toString()).toBe('89\0\0!')
      expect(await file.read(50, 10)).toHaveLength(0)
      await log.truncate(4)
      expect(await file.size()).toBe(4)
      await file.close()
      await log.close()
    })

    test('what somebody else writes can be synced by whoever only reads', async () => {
      const log = await storage.createLog('l')
      await log.write(0, Buffer.from('abc'))
      const file = (await storage.openRead('l'))!
      await file.sync()
      expect(Buffer.from(await file.read(0, 3)).toString()).toBe('abc')
      await file.close()
      await log.close()
    })

    test('bytes given to write are left as they are, and may be reused once it has resolved', async () => {
      const log = await storage.createLog('l')
      const bytes = Buffer.from('abc')
      await log.write(0, bytes)
      expect(bytes.toString()).toBe('abc')
      bytes.fill(0)
      await log.sync()
      expect(Buffer.from((await readWhole(storage, 'l'))!).toString()).toBe('abc')
      await log.close()
    })

    test('a log that exists is not created again', async () => {
      await (await storage.createLog('l')).close()
      await expect(storage.createLog('l')).rejects.toMatchObject({ code: 'EEXIST' })
    })

    test('what is missing reads as missing', async () => {
      expect(await storage.openRead('nothing')).toBeUndefined()
      expect(await storage.list('nothing')).toEqual([])
      await storage.remove('nothing')
    })

    test('a replaced file has one content or the other', async () => {
      await storage.replace('i', Buffer.from('one'))
      await storage.replace('i', Buffer.from('two'))
      expect(Buffer.from((await readWhole(storage, 'i'))!).toString()).toBe('two')
      await storage.remove('i')
      expect(storage.exists('i')).toBe(false)
    })

    test('a file that is replaced durably has one content or the other, whether it was there or not', async () => {
      await storage.createFolder('f')
      for (const content of ['one', 'another']) {
        await storage.replaceDurably('f/i', Buffer.from(content))
        expect(Buffer.from((await readWhole(storage, 'f/i'))!).toString()).toBe(content)
      }
      expect(await storage.list('f')).toEqual(['i'])
    })

    test('reading more than there is gives what there is, however much was asked for', async () => {
      await storage.createExclusive('a', Buffer.from('0123456789abcdef'))
      const file = (await storage.openRead('a'))!
      expect(Buffer.from(await file.read(3, 2 ** 50)).toString()).toBe('3456789abcdef')
      expect(await file.read(99, 2 ** 50)).toHaveLength(0)
      await file.close()
    })

    test('reading gives memory of its own on an 8-byte boundary', async () => {
      await storage.createExclusive('a', Buffer.from('0123456789abcdef'))
      const file = (await storage.openRead('a'))!
      const bytes = await file.read(3, 8)
      expect(bytes.byteOffset % 8).toBe(0)
      bytes.fill(0)
      expect(Buffer.from(await file.read(3, 8)).toString()).toBe('3456789a')
      await file.close()
    })
  })
}
