import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from './free-port.ts'

/** On the path; or where Debian's packages have it, the newest first. */
function findPrograms(): string | undefined {
  const packaged = fs.globSync('/usr/lib/postgresql/*/bin').sort((a, b) => versionOf(b) - versionOf(a))
  const folders = [...(process.env['PATH'] ?? '').split(':'), ...packaged]
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => fs.existsSync(join(folder, name))))
}

function versionOf(folder: string): number {
  return Number.parseInt(folder.split('/')[4]!, 10)
}

const programs = findPrograms()

/** Whether this machine has a PostgreSQL to start. */
export const hasPostgres: boolean = programs !== undefined

export interface PostgresProcess {
  readonly url: string
  /** As this process reaches it, for `pg`. */
  readonly door:
    | { readonly connectionString: string }
    | (Readonly<Record<'host' | 'user' | 'database', string>> & { readonly port: number })
  /** A connection of the test's own. */
  query(sql: string): Promise<readonly Record<string, unknown>[]>
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>
  /** After `kill`: at the same place, with all that was committed. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Where a server is to run. */
export interface PostgresPlace {
  /** The folder for its own folder. */
  readonly parent: string
  /** A network that this process cannot reach. */
  readonly network?:
    | {
        readonly address: string
        /** Put before a program, with its arguments, it runs that there. */
        readonly prefix: readonly string[]
      }
    | undefined
}

/**
 * A real PostgreSQL on a free loopback port, in a folder that goes with it.
 * @param place its folder's; and elsewhere than on loopback, where it is reached from here through a socket in that folder
 */
export async function startPostgres(
  { parent, network }: PostgresPlace = { parent: tmpdir() },
): Promise<PostgresProcess> {
  const folder = fs.mkdtempSync(join(parent, 'penhold-postgres-'))
  const account = unprivileged()
  if (account !== undefined) fs.chownSync(folder, account.uid, account.gid)
  const run = { cwd: folder, stdio: 'ignore' } as const
  const data = join(folder, 'data')
  const initdb = ['-D', data, '-U', 'penhold', '-A', 'trust', '--encoding=UTF8', '--locale=C', '--no-sync']
  execFileSync(join(programs!, 'initdb'), initdb, { ...run, ...account })
  if (network !== undefined) fs.appendFileSync(join(data, 'pg_hba.conf'), 'host all all 0.0.0.0/0 trust\n')
  const port = await freePort()
  const host = network?.address ?? '127.0.0.1'
  const url = `postgres://penhold@${host}:${port}/postgres`
  const door =
    network === undefined ? { connectionString: url } : { host: folder, port, user: 'penhold', database: 'postgres' }
  const sockets = network === undefined ? '' : folder
  const settings = [`listen_addresses=${host}`, `port=${port}`, `unix_socket_directories=${sockets}`, 'fsync=off']
  let server: ChildProcess
  const start = async (): Promise<void> => {
    const args = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])]
    const program = join(programs!, 'postgres')
    server =
      network === undefined ? spawn(program, args, { ...run, ...account }) : spawnIn(network, [program, ...args], run)
    await answering(door, server)
  }
  const kill = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill('SIGQUIT')
    await once(server, 'exit')
  }
  // Also where the test that started it does not come to its end.
  const last = (): void => void server.kill('SIGQUIT')
  process.once('exit', last)
  await start()
  return {
    url,
    door,
    query: (sql) => ask(door, sql),
    kill,
    restart: start,
    async stop() {
      process.off('exit', last)
      await kill()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** PostgreSQL does not run as root. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/** Whoever enters another network needs rights that the server must not have. */
function spawnIn(
  { prefix }: NonNullable<PostgresPlace['network']>,
  command: readonly string[],
  run: SpawnOptions,
): ChildProcess {
  const account = unprivileged()
  const ids = account === undefined ? [] : ['--reuid', account.uid, '--regid', account.gid, '--clear-groups']
  const [first, ...rest] = [...prefix, 'setpriv', ...ids.map(String), '--pdeathsig', 'KILL', ...command]
  return spawn(first!, rest, run)
}

async function ask(door: PostgresProcess['door'], sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client(door)
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql)
    return rows
  } finally {
    await client.end()
  }
}

async function answering(door: PostgresProcess['door'], server: ChildProcess): Promise<void> {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`postgres ended at once, with code ${server.exitCode}`)
    const isAnswering = await ask(door, 'SELECT 1').then(
      () => true,
      () => false,
    )
    if (isAnswering) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
