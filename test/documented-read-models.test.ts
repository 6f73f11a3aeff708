import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hasPostgres, startPostgres } from './postgres-server.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const root = join(import.meta.dirname, '..')
const page = fs.readFileSync(join(root, 'docs/read-models.md'), 'utf8')
const examples = new Map(
  [...page.matchAll(/^```ts\n\/\/ (\w+)\.ts\n(.*?)^```/gms)].map(([, name, source]) => [name, source]),
)

const modules = [
  'read/memory-read-model',
  'platform/sqlite-read-model',
  'platform/postgres-read-model',
  'platform/redis-read-model',
]
const program = `
  import { balanceOf, onDeposited, store } from './example.ts'
  const model = await store.open('balances')
  const at = (position) => ({ position, shard: 0 })
  const change = { lane: 'all', park: [], unpark: [] }
  await model.commit(1, { ...change, from: at(0), to: at(1), apply: (m) => onDeposited(m, 'NL-1', 5) })
  await model.commit(1, { ...change, from: at(1), to: at(2), apply: (m) => onDeposited(m, 'NL-1', 7) })
  const balances = [await model.query(1, (m) => balanceOf(m, 'NL-1')), await model.query(1, (m) => balanceOf(m, 'NL-2'))]
  await model.close()
  console.log(...balances)`

/** Type-checks an example of the page, and runs its handler twice and its query; what that prints. */
function run(name: string, env: Record<string, string> = {}): string {
  const folder = temporaryFolder()
  const face = modules.map((module) => `export * from '${root}/src/${module}.ts'`).join('\n')
  fs.writeFileSync(join(folder, 'penhold.ts'), face)
  fs.writeFileSync(join(folder, 'example.ts'), examples.get(name)!.replace("'penhold'", "'./penhold.ts'"))
  fs.writeFileSync(join(folder, 'program.ts'), program)
  fs.writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const compilerOptions = {
    typeRoots: [join(root, 'node_modules/@types')],
    rewriteRelativeImportExtensions: false,
    allowImportingTsExtensions: true,
  }
  const tsconfig = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['example.ts'], exclude: [] }
  fs.writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { cwd: folder, encoding: 'utf8' })
  const options = { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } } as const
  return execFileSync(process.execPath, ['program.ts'], options).trim()
}

test('docs/read-models.md: its example in memory', () => {
  expect(run('memory')).toBe('12 undefined')
})

test('docs/read-models.md: its example in SQLite', () => {
  expect(run('sqlite')).toBe('12 undefined')
})

test.skipIf(!hasPostgres)('docs/read-models.md: its example in PostgreSQL', async () => {
  const server = await startPostgres()
  try {
    expect(run('postgres', { DATABASE_URL: server.url })).toBe('12 undefined')
  } finally {
    await server.stop()
  }
})

test.skipIf(!hasRedis)('docs/read-models.md: its example in Redis', async () => {
  const server = await startRedis()
  try {
    expect(run('redis', { REDIS_URL: server.url })).toBe('12 undefined')
  } finally {
    await server.stop()
  }
})

test('who opens a store in PostgreSQL without the package is told what to install', () => {
  const opening = `
    import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) { if (name === 'pg') throw new Error('not found'); return next(name, context) } })
    const { postgresStore } = await import('${root}/src/platform/postgres-read-model.ts')
    await postgresStore({ connection: 'postgres://localhost', setup: () => undefined }).open('x').catch((error) => console.log(error.message))`
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', opening], { encoding: 'utf8' })
  expect(printed).toContain('npm install pg')
})
