/** A Redis of the example's own, on a free loopback port, with nothing kept on disk. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { DemoError } from '../incidents/demo-error.ts'

export interface RedisProcess extends AsyncDisposable {
  readonly url: string
}

const TRIES = 600
const PAUSE_MS = 50

/** @throws DemoError where there is no redis-server on this machine */
export async function startRedis(): Promise<RedisProcess> {
  const port = await freePort()
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', settings, { stdio: 'ignore' })
  const failed = once(server, 'error').then(([error]: unknown[]) => {
    throw new DemoError('there is no redis-server here; install it (Debian: apt-get install redis-server)', {
      cause: error,
    })
  })
  await Promise.race([failed, answering(port)])
  return {
    url: `redis://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const ended = once(server, 'exit')
      server.kill()
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  return port
}

async function answering(port: number): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const socket = net.connect(port, '127.0.0.1')
    const isThere = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isThere) return
    await setTimeout(PAUSE_MS)
  }
  throw new DemoError(`redis-server does not answer at port ${port}`)
}
