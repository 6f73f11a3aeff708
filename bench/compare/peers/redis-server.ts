/** A redis-server of the bench's own: on a free port of the loopback, with its files in a folder, ended with the bench. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'

import { PeerUnavailable } from '../peer.ts'

export type RedisServer = { readonly port: number; end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> }

/** Resolves once the server takes connections. It syncs its append-only file before each reply. */
export async function startRedisServer(dir: string): Promise<RedisServer> {
  const port = await freePort()
  const server = spawn('redis-server', optionsOf({ dir, port }), { stdio: ['ignore', 'pipe', 'inherit'] })
  const kill = (): void => void server.kill('SIGKILL')
  process.once('exit', kill)
  server.once('close', () => process.off('exit', kill))
  await ready(server)
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'close')
    server.kill(signal)
    await ended
  }
  return { port, end }
}

function optionsOf({ dir, port }: { dir: string; port: number }): string[] {
  const options = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    appendonly: 'yes',
    appendfsync: 'always',
    // Neither a snapshot nor a rewrite of the file may begin in the middle of a row.
    save: '',
    'auto-aof-rewrite-percentage': '0',
  }
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
}

/** Another process may take the port before Redis does; Redis then ends at once, and the message shows why. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

async function ready(server: ChildProcess): Promise<void> {
  assert.ok(server.stdout, 'The output of redis-server is piped')
  const log: string[] = []
  const lines = createInterface(server.stdout)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  lines.on('line', (line) => {
    // Reading goes on, so that the server never blocks on a full pipe; what it says is kept until it is ready.
    if (line.includes('Ready to accept connections')) resolve()
    else if (log.length < 100) log.push(line)
  })
  server.once('exit', (code) => reject(new Error(`redis-server ended with ${code} at its start:\n${log.join('\n')}`)))
  server.once('error', (cause) => reject(startFailure(cause)))
  await promise
}

function startFailure(cause: NodeJS.ErrnoException): Error {
  if (cause.code !== 'ENOENT') return cause
  return new PeerUnavailable('redis-server is not in the PATH. Install it, on Debian the package redis-server.', {
    cause,
  })
}
