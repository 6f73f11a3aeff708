import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryStorage } from '../../src/log/memory-storage.ts'
import { blocking, pooled } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { testStorageContract } from './storage-contract.ts'

for (const [name, calls] of Object.entries({ blocking, pooled })) {
  testStorageContract(`file storage with ${name} calls`, () => {
    const root = fs.mkdtempSync(join(tmpdir(), 'penhold-storage-'))
    return { storage: new FileStorage(root, calls), cleanUp: () => fs.rmSync(root, { recursive: true }) }
  })
}
testStorageContract('storage in memory', () => ({ storage: new MemoryStorage(), cleanUp: () => undefined }))
testStorageContract('simulated storage', () => ({
  storage: new SimulatedStorage(new SimulatedDisk()),
  cleanUp: () => undefined,
}))
