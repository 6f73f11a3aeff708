/** The version before (test/fixtures/previous), to be run beside today's. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../temporary.ts'

const ROOT = join(import.meta.dirname, '../..')

/** The folder that a process of the version before runs in, which has the same config and `process.ts` as today's has here. */
export function unpackPrevious(): string {
  const folder = temporaryFolder()
  const modules = join(folder, 'node_modules')
  const into = join(modules, 'penhold')
  fs.mkdirSync(into, { recursive: true })
  execFileSync('tar', ['-xzf', join(ROOT, 'test/fixtures/previous/penhold.tar.gz'), '-C', into])
  const { dependencies } = JSON.parse(fs.readFileSync(join(into, 'package.json'), 'utf8')) as { dependencies: object }
  for (const name of Object.keys(dependencies)) {
    fs.mkdirSync(join(modules, name, '..'), { recursive: true })
    fs.symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  fs.writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const name of ['cluster.config.ts', 'process.ts']) {
    const source = fs.readFileSync(join(import.meta.dirname, name), 'utf8')
    fs.writeFileSync(join(folder, name), source.replaceAll('../../src/index.ts', 'penhold'))
  }
  return folder
}
