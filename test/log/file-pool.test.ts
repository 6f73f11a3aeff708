import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FilePool } from '../../src/log/file-pool.ts'
import { blocking, pooled } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { temporaryFolder } from '../temporary.ts'

test.each(Object.entries({ blocking, pooled }))(
  'with %s calls more files than stay open are read at once',
  async (_, calls) => {
    const folder = temporaryFolder()
    const names = Array.from({ length: 300 }, (_unused, i) => `file-${i}`)
    for (const name of names) fs.writeFileSync(join(folder, name), name)
    const pool = new FilePool(new FileStorage(folder, calls))
    for (let round = 0; round < 3; round += 1) {
      const read = await Promise.all(names.map((name) => pool.read(name, 0, 100)))
      expect(read.map((bytes) => Buffer.from(bytes ?? []).toString())).toEqual(names)
    }
    expect(fs.readdirSync('/proc/self/fd').length).toBeLessThan(250)
    await pool.close()
    expect(await pool.read('missing', 0, 1)).toBeUndefined()
  },
)
