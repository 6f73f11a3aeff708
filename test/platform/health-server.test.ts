import net from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { listenForProbes, type ProbeAnswer } from '../../src/platform/health-server.ts'

const WELL: ProbeAnswer = { isWell: true, body: { isLive: true } }

async function listen(probe: () => Promise<ProbeAnswer> = async () => WELL) {
  const server = await listenForProbes('127.0.0.1:0', { '/health/live': probe })
  onTestFinished(() => server.close())
  return server
}

/** All that is answered to these bytes, until the connection is closed from there. */
async function send(address: string, bytes: string): Promise<string> {
  const socket = net.connect(Number(address.split(':')[1]), '127.0.0.1')
  let said = ''
  socket.on('data', (data) => (said += String(data)))
  socket.on('error', () => undefined)
  socket.write(bytes)
  // Not once(), which rejects where it is reset.
  await new Promise((resolve) => socket.once('close', resolve))
  return said
}

const request = (line: string, ...headers: string[]): string => [line, 'Host: x', ...headers, '', ''].join('\r\n')
const LIVE = request('GET /health/live HTTP/1.1')

test('a probe gets 200 or 503, with what was measured for it', async () => {
  let isWell = true
  const { address } = await listen(async () => ({ isWell, body: { isWell } }))
  const url = `http://${address}/health/live`
  const first = await fetch(url)
  expect([first.status, await first.json()]).toEqual([200, { isWell: true }])
  expect(first.headers.get('cache-control')).toBe('no-store')
  isWell = false
  const second = await fetch(`${url}?from=balancer`)
  expect([second.status, await second.json()]).toEqual([503, { isWell: false }])
  const head = await fetch(url, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([503, ''])
})

test('a probe that fails by a bug is not well, and tells nobody why', async () => {
  const { address } = await listen(async () => Promise.reject(new Error('redis://user:password@host')))
  const answer = await fetch(`http://${address}/health/live`)
  expect(answer.status).toBe(503)
  expect(await answer.text()).not.toContain('password')
})

test('other paths and methods are refused', async () => {
  const { address } = await listen()
  for (const path of ['/', '/health', '/health/live/', '/constructor', '//health/live']) {
    expect((await fetch(`http://${address}${path}`)).status, path).toBe(404)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const answer = await fetch(`http://${address}/health/live`, { method })
    expect([answer.status, answer.headers.get('allow')], method).toEqual([405, 'GET, HEAD'])
  }
})

test('whatever a stranger sends ends with its connection, and probes are answered', async () => {
  const { address } = await listen()
  const strange = [
    'no request\r\n\r\n',
    request('GET /health/live HTTP/1.1', `X: ${'x'.repeat(5000)}`),
    request('CONNECT host:1 HTTP/1.1'),
    request('GET /health/live HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket'),
    request('POST /health/live HTTP/1.1', 'Transfer-Encoding: chunked') + 'zz\r\n',
    LIVE.repeat(1000),
    '\u0000'.repeat(100_000),
  ]
  for (const bytes of strange) {
    const said = await send(address, bytes)
    // One answer a connection, whatever is asked in one go.
    expect(said.match(/^HTTP\/1\.1 /gm)?.length ?? 0, bytes.slice(0, 60)).toBeLessThanOrEqual(1)
    expect(await send(address, LIVE)).toMatch(/^HTTP\/1\.1 200 /)
  }
})

test('who says nothing, or half of a request, is hung up on, so that others find room', async () => {
  const { address } = await listen()
  const silent = Array.from({ length: 100 }, (_, i) => send(address, i % 2 === 0 ? '' : LIVE.slice(0, -2)))
  const said = await Promise.all(silent)
  expect(said.filter((text) => text.includes(' 200 '))).toEqual([])
  expect(await send(address, LIVE)).toMatch(/^HTTP\/1\.1 200 /)
})

test('an address that is taken is told at the start', async () => {
  const { address } = await listen()
  await expect(listenForProbes(address, {})).rejects.toMatchObject({
    message: expect.stringContaining(address) as string,
  })
})
