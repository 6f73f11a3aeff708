import { once } from 'node:events'
import net from 'node:net'

/**
 * Below those that systems give to whoever connects (Linux from 32768, others from 49152): nobody else takes one by chance. Nor the one
 * that is 10,000 above, where a node of a Redis Cluster talks to others.
 */
const [FIRST, END] = [12_000, 22_000]

/** A loopback port for a server that is to be told its port, and keeps it while it is away for a moment. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (END - FIRST))
    const server = net.createServer()
    const isFree = await once(server.listen(port, '127.0.0.1'), 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
