import { expect, test } from 'vitest'
import { Router } from '../../src/cluster/router.ts'
import { createLinkPair } from '../../src/cluster/link.ts'
import { NO_PROGRESS } from '../../src/node/progress.ts'
import { Supervisor } from '../../src/node/supervisor.ts'
import type { WorkerEvents, WorkerHandle } from '../../src/node/worker-handle.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

/** A supervisor of one worker; each start of it is settled by hand. */
function open() {
  const clock = new SimulatedClock()
  const starts: { readonly events: WorkerEvents; readonly started: PromiseWithResolvers<WorkerHandle> }[] = []
  const ended: number[] = []
  const supervisor = new Supervisor({
    clock,
    router: new Router({ clock, shards: 1, underWayMax: 1, timeoutMs: 1_000, onBadFrame: () => undefined }),
    handlerMs: 1_000,
    onWarning: () => undefined,
    ownerOf: (worker) => `worker-${worker}`,
    start: (_, events) => {
      const started = Promise.withResolvers<WorkerHandle>()
      events.unwanted?.addEventListener('abort', () => started.reject(new Error('it was given up')))
      starts.push({ events, started })
      return started.promise
    },
  })
  const serve = (start: number): void => {
    const handle: Partial<WorkerHandle> = {
      link: createLinkPair(clock)[0],
      position: 0,
      progress: () => NO_PROGRESS,
      close: async () => undefined,
      terminate: async () => void ended.push(start),
    }
    starts[start]!.started.resolve(handle as WorkerHandle)
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { supervisor, starts, serve, ended, turn }
}

test('a worker that takes for ever to start is given up when its node closes', async () => {
  const { supervisor, starts, serve, ended, turn } = open()
  const started = supervisor.start(1)
  serve(0)
  await started
  starts[0]!.events.onEnd('it broke')
  await turn()
  expect(starts).toHaveLength(2)
  await supervisor.close(1_000)
  expect(ended).toEqual([0])
  expect(starts).toHaveLength(2)
})

test('a worker that has started while its node was closing is ended', async () => {
  const { supervisor, starts, serve, ended, turn } = open()
  const started = supervisor.start(1)
  serve(0)
  await started
  starts[0]!.events.onEnd('it broke')
  await turn()
  serve(1)
  const closed = supervisor.close(1_000)
  await closed
  expect(ended).toEqual([0, 1])
})
