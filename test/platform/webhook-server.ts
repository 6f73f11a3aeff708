import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebhookRequest {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface WebhookAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A real receiver of webhooks, which checks signatures by itself. */
export interface WebhookServer {
  readonly url: string
  /** All that came, whatever it was answered. */
  readonly requests: readonly WebhookRequest[]
  /** Bodies that were answered 2xx. */
  readonly taken: readonly string[]
  /** How it answers from now on; undefined: not at all. Default: 204. */
  answer: (request: WebhookRequest) => WebhookAnswer | undefined | Promise<WebhookAnswer>
  stop(): Promise<void>
}

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

export async function startWebhookServer(): Promise<WebhookServer> {
  const requests: WebhookRequest[] = []
  const taken: string[] = []
  const server = http.createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    const end = async (): Promise<void> => {
      const request = { headers: incoming.headers, body: Buffer.concat(chunks).toString() }
      requests.push(request)
      const answer = isSigned(request)
        ? await started.answer(request)
        : { status: 401, body: 'the signature is not right' }
      if (answer === undefined) return
      if (answer.status < 300) taken.push(request.body)
      outgoing.writeHead(answer.status, answer.headers).end(answer.body)
    }
    incoming.on('end', () => void end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const started: WebhookServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks?key=hidden`,
    requests,
    taken,
    answer: () => ({ status: 204 }),
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return started
}

/** As the specification says it, without a line of ours. */
function isSigned({ headers, body }: WebhookRequest): boolean {
  const id = String(headers['webhook-id'])
  const timestamp = String(headers['webhook-timestamp'])
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false
  const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64')
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return String(headers['webhook-signature']).split(' ').includes(`v1,${expected}`)
}
