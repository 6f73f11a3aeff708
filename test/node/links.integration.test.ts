import { expect, onTestFinished, test } from 'vitest'
import { FrameWriter } from '../../src/cluster/frame.ts'
import { PROTOCOL_VERSION, readReplies, writeMessage } from '../../src/cluster/wire.ts'
import type { Link } from '../../src/cluster/link.ts'
import { createProgressMemory } from '../../src/node/progress.ts'
import type { FromWorker, ToWorker } from '../../src/node/worker-handle.ts'
import type { ThreadData } from '../../src/node/worker-thread.ts'
import { startThread } from '../../src/platform/thread.ts'
import { temporaryFolder } from '../temporary.ts'

/** A worker's thread, and what it has said beside its links. */
function start() {
  let heard: (message: FromWorker) => void = () => undefined
  const data: ThreadData = {
    configUrl: new URL('troublesome.config.ts', import.meta.url).href,
    overrides: { dataDir: temporaryFolder() },
    clusterId: 'links',
    shards: [0, 1, 2, 3],
    quarantined: [],
    progress: createProgressMemory(),
    rehearses: false,
  }
  const said = { onMessage: (message: unknown) => heard(message as FromWorker), onEnd: () => undefined }
  const thread = startThread('worker-thread', data, said)
  onTestFinished(() => thread.terminate())
  return {
    connect: (link: number) =>
      thread.connect((port) => ({ kind: 'connect', link, port, protocol: PROTOCOL_VERSION }) satisfies ToWorker),
    tell: (message: ToWorker) => thread.post(message),
    until: (kind: FromWorker['kind']) =>
      new Promise<void>((resolve) => {
        heard = (message) => (message.kind === kind ? resolve() : undefined)
      }),
  }
}

function ask(link: Link, request: number): void {
  const frame = new FrameWriter()
  const query = { kind: 'query', request, epoch: 1, stream: 'account/1', name: 'balance', payload: undefined } as const
  writeMessage(frame, query, { now: 0, protocol: PROTOCOL_VERSION })
  link.send(frame.take())
}

test('a worker reads nothing more of a link that it was told to end', async () => {
  const thread = start()
  await thread.until('ready')
  const answered: number[] = []
  const links = [thread.connect(0), thread.connect(1)]
  const told = links.map(
    (link) =>
      new Promise<void>((resolve) => {
        link.onFrame((frame) => {
          answered.push(...readReplies(frame).map(({ request }) => request))
          resolve()
        })
      }),
  )
  const [older, newer] = links
  ask(older!, 1)
  await told[0]
  thread.tell({ kind: 'disconnect', link: 0 })
  thread.tell({ kind: 'call', call: 1, name: 'status', args: [] })
  await thread.until('returned')
  ask(older!, 2)
  ask(newer!, 3)
  await told[1]
  thread.tell({ kind: 'call', call: 2, name: 'status', args: [] })
  await thread.until('returned')
  expect(answered).toEqual([1, 3])
})
