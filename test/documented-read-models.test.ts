import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { filesOf, writeRunnable } from './documented.ts'
import { hasPostgres, startPostgres } from './postgres-server.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const root = join(import.meta.dirname, '..')
const examples = filesOf('docs/read-models.md')

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

/** Runs the handler of an example of the page twice, and its query; what that prints. */
function run(name: string, env: Record<string, string> = {}): string {
  const folder = temporaryFolder()
  writeRunnable(folder, {
    'example.ts': examples[`${name}.ts`]!,
    'program.ts': program,
    'package.json': '{ "type": "module" }',
  })
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
