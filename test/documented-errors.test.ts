import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

function* sources(folder: string): Generator<string> {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.name.endsWith('.ts')) yield fs.readFileSync(path, 'utf8')
  }
}

test('docs/errors.md lists the codes that the code has, and no others', () => {
  const inCode = new Set<string>()
  for (const source of sources(join(root, 'src'))) {
    for (const [, code] of source.matchAll(/new PenholdError\(\s*'(\w+)'/g)) inCode.add(code!)
  }
  const inDocs = new Set<string>()
  for (const [, code] of fs.readFileSync(join(root, 'docs/errors.md'), 'utf8').matchAll(/^\| `(\w+)`\s*\|/gm)) {
    inDocs.add(code!)
  }
  expect([...inDocs].toSorted()).toEqual([...inCode].toSorted())
})
