import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../temporary.ts'
import { startInlineNode } from './inline-node.ts'

const HOUR_MS = 60 * 60 * 1000

test('temporary files that crashes left behind are removed at the start, and those of a living process are not', async () => {
  const dataDir = temporaryFolder()
  await (await startInlineNode({ dataDir })).close()
  const plant = (name: string, ageMs: number): string => {
    const path = join(dataDir, name)
    const time = new Date(Date.now() - ageMs)
    fs.writeFileSync(path, 'half')
    fs.utimesSync(path, time, time)
    return path
  }
  const temporary = (name: string): string => `${name}.${randomUUID()}.tmp`
  const names = ['lock', 'journals/00000001/000001.idx', 'shards/00000/0000000009.claim']
  const leftovers = names.map((name) => plant(temporary(name), 2 * HOUR_MS))
  const others = [...names.map((name) => plant(temporary(name), HOUR_MS / 2)), plant('notes.tmp', 2 * HOUR_MS)]
  await startInlineNode({ dataDir })
  expect(leftovers.filter((path) => fs.existsSync(path))).toEqual([])
  expect(others.filter((path) => !fs.existsSync(path))).toEqual([])
})
