import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'

/** Whether this machine has a Redis to start. */
export const hasRedis: boolean = spawnSync('redis-server', ['--version']).status === 0

export interface RedisProcess {
  readonly port: number
  readonly url: string
  /** A connection of the test's own. */
  readonly admin: Redis
  /** Stops it dead, as a machine that hangs; and lets it go on. */
  pause(): void
  resume(): void
  /** Ends it with all it knew. */
  kill(): Promise<void>
  /** After `kill`: an empty one at the same place. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Where a server is to run. */
export interface RedisPlace {
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
 * A real redis-server on a free loopback port, with nothing kept on disk, in a folder that goes with it.
 * @param settings more lines of its configuration
 * @param place its folder's; and elsewhere than on loopback, where its admin is connected through a socket in that folder
 */
export async function startRedis(
  settings: readonly string[] = [],
  kind: 'server' | 'encrypted' | 'sentinel' = 'server',
  { parent, network }: RedisPlace = { parent: tmpdir() },
): Promise<RedisProcess> {
  const folder = fs.mkdtempSync(join(parent, 'penhold-redis-'))
  const port = await freePort()
  const host = network?.address ?? '127.0.0.1'
  const socket = join(folder, 'redis.sock')
  const door: Door = network === undefined ? { port, host } : { path: socket }
  const configuration = join(folder, 'redis.conf')
  let server: ChildProcess
  const start = async (): Promise<void> => {
    const ports = kind === 'encrypted' ? ['port 0', `tls-port ${port}`] : [`port ${port}`]
    const lines = [
      ...ports,
      `bind ${host}`,
      `unixsocket ${socket}`,
      ...('path' in door ? ['protected-mode no'] : []),
      `dir ${folder}`,
      ...(kind === 'sentinel' ? [] : ['save ""']),
      ...settings,
    ]
    fs.writeFileSync(configuration, `${lines.join('\n')}\n`)
    const command = ['redis-server', configuration, ...(kind === 'sentinel' ? ['--sentinel'] : [])]
    const [program, ...args] = [...(network?.prefix ?? []), ...command]
    server = spawn(program!, args, { stdio: 'ignore' })
    // It opens this one once it has its port, on which anybody might answer.
    await listening({ path: socket }, server)
  }
  const kill = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
  // Also where the test that started it does not come to its end.
  const last = (): void => void server.kill('SIGKILL')
  process.once('exit', last)
  await start()
  const admin = new Redis({
    ...door,
    lazyConnect: true,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
  })
  admin.on('error', () => undefined)
  return {
    port,
    url: `redis://${host}:${port}`,
    admin,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    kill,
    restart: start,
    async stop() {
      admin.disconnect()
      process.off('exit', last)
      await kill()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** How this process reaches the server. */
type Door = { readonly port: number; readonly host: string } | { readonly path: string }

async function listening(door: Door, server: ChildProcess): Promise<void> {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`redis-server ended at once, with code ${server.exitCode}`)
    const socket = net.connect(door)
    const isConnected = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isConnected) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
