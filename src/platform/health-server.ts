/**
 * The server for probes: HTTP/1.1, GET and HEAD of a few paths, one answer a connection. It knows nobody who asks, so
 * whatever they send or leave out costs a bounded time and memory, and it answers in numbers and words of its own.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConnectionError, formatAddress, parseAddress } from '../cluster/network.ts'

export interface ProbeAnswer {
  readonly isWell: boolean
  readonly body: object
}

/** By path, `/health/live`. One that rejects is a bug, and told as not well. */
export type Probes = Readonly<Record<string, () => Promise<ProbeAnswer>>>

export interface HealthServer {
  /** With the port that was chosen, where it was asked for port 0. */
  readonly address: string
  close(): Promise<void>
}

const HEADER_BYTES_MAX = 4096
/** All of a request has arrived by then, or its connection is closed; and so is one that says nothing. */
const REQUEST_MS = 2_000
const CHECK_MS = 500
/** One more is closed. */
const CONNECTIONS_MAX = 64

/** @throws ConnectionError where it cannot listen there, PenholdError `BadDefinition` where that is no address */
export async function listenForProbes(address: string, probes: Probes): Promise<HealthServer> {
  const { host, port } = parseAddress(address)
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: CHECK_MS,
  }
  const server = http.createServer(limits, (request, response) => void answer(probes, request, response))
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(address, error)))
    server.listen({ host, port }, resolve)
  })
  // The system had no socket left: whoever probes comes again.
  server.on('error', () => undefined)
  return {
    address: formatAddress({ host, port: (server.address() as AddressInfo).port }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  probes: Probes,
  { method, url }: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const path = url?.split('?', 1)[0] ?? ''
  const probe = Object.hasOwn(probes, path) ? probes[path] : undefined
  if (probe === undefined) return send(response, 404, { paths: Object.keys(probes) })
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    return send(response, 405, {})
  }
  const { isWell, body } = await probe().catch(() => ({ isWell: false, body: { why: ['it could not be examined'] } }))
  send(response, isWell ? 200 : 503, body)
}

/** For HEAD, Node leaves the body out. */
function send(response: http.ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    Connection: 'close',
  })
  response.end(text)
}

function cannotListen(address: string, cause: Error): ConnectionError {
  return new ConnectionError(
    'broken',
    `cannot answer probes at ${address}: ${cause.message}. Use another address, or end what has it.`,
    cause,
  )
}
