import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ACCOUNT, filesOf, readPage, type Files } from './documented.ts'
import { temporaryFolder } from './temporary.ts'

const root = join(import.meta.dirname, '..')

const CONFIG = `import { defineCluster } from 'penhold'
import { Account } from './account.ts'
export default defineCluster({ name: 'bank', aggregates: [Account], dataDir: 'data' })
`
const SURROUNDINGS: Files = { 'account.ts': ACCOUNT, 'cluster.config.ts': CONFIG }

/**
 * By page, what its programs find beside them. docs/deploy.md is not among them: its blocks are parts of a config.
 */
const PAGES: Readonly<Record<string, Files>> = {
  'README.md': {},
  'docs/clients.md': SURROUNDINGS,
  'docs/evolving.md': {},
  'docs/outbox.md': SURROUNDINGS,
  'docs/processes.md': {},
  'docs/projections.md': SURROUNDINGS,
  'docs/read-models.md': {},
  'docs/reactors.md': SURROUNDINGS,
  'docs/reading.md': SURROUNDINGS,
  'docs/streams.md': {},
  'docs/timers.md': {},
  'docs/testing.md': filesOf('README.md'),
}

/** README's, which a reader has. */
function tsconfig(): object {
  const [, json] = /^```json\n(.*?)^```/ms.exec(readPage('README.md'))!
  const { compilerOptions } = JSON.parse(json!) as { readonly compilerOptions: object }
  const paths = { penhold: [join(root, 'src/index.ts')], 'penhold/testing': [join(root, 'src/testing/index.ts')] }
  return { compilerOptions: { ...compilerOptions, noEmit: true, rootDir: '/', paths }, include: ['**/*.ts'] }
}

test('the programs of the pages type-check with the tsconfig of README', () => {
  const folder = temporaryFolder()
  fs.symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  fs.writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  fs.writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig()))
  for (const [page, surroundings] of Object.entries(PAGES)) {
    fs.mkdirSync(join(folder, page), { recursive: true })
    for (const [name, code] of Object.entries({ ...surroundings, ...filesOf(page) })) {
      fs.writeFileSync(join(folder, page, name), code)
    }
  }
  const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect([status, stdout]).toEqual([0, ''])
})
