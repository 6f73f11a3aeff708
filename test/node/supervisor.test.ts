import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Router } from '../../src/cluster/router.ts'
import { createLinkPair } from '../../src/cluster/link.ts'
import type { Quarantined } from '../../src/actor/quarantine.ts'
import type { ProgressReading } from '../../src/node/progress.ts'
import { Supervisor } from '../../src/node/supervisor.ts'
import type { WorkerEvents, WorkerHandle } from '../../src/node/worker-handle.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

const HANDLER_MS = 1_000

interface Started {
  readonly events: WorkerEvents
  readonly quarantined: readonly Quarantined[]
  readonly started: PromiseWithResolvers<WorkerHandle>
}

/** A supervisor of one worker; each start of it is settled by hand. */
function open() {
  const clock = new SimulatedClock()
  const starts: Started[] = []
  const warnings: string[] = []
  const ended: number[] = []
  const supervisor = new Supervisor({
    clock,
    router: new Router({ clock, shards: 1, underWayMax: 1, timeoutMs: 1_000, onBadFrame: () => undefined }),
    handlerMs: HANDLER_MS,
    onWarning: (message) => warnings.push(message),
    ownerOf: (worker) => `worker-${worker}`,
    start: (_, events, quarantined) => {
      const started = Promise.withResolvers<WorkerHandle>()
      events.unwanted?.addEventListener('abort', () => started.reject(new Error('it was given up')))
      starts.push({ events, quarantined, started })
      return started.promise
    },
  })
  const serve = (
    start: number,
    progress: () => ProgressReading | undefined = () => undefined,
    more: Partial<WorkerHandle> = {},
  ): void => {
    const handle: Partial<WorkerHandle> = {
      link: createLinkPair(clock)[0],
      position: 0,
      progress,
      close: async () => undefined,
      terminate: async () => void ended.push(start),
      ...more,
    }
    starts[start]!.started.resolve(handle as WorkerHandle)
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { clock, supervisor, starts, warnings, serve, ended, turn }
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

test('a worker that has ended before its node could use it is started anew, and so is its successor', async () => {
  const { clock, supervisor, starts, serve, warnings, ended, turn } = open()
  const started = supervisor.start(1)
  serve(0)
  await started
  starts[0]!.events.onEnd('it broke')
  await turn()
  // It was ready; while its node looks whether it has opened the right data, its log breaks.
  starts[1]!.events.onEnd('EIO', 'log')
  serve(1)
  await turn()
  expect(warnings.at(-1)).toContain('EIO')
  expect(supervisor.handles).toEqual([undefined])
  clock.advance(5_000)
  await turn()
  serve(2)
  await turn()
  expect([ended, supervisor.handles.length, starts.length]).toEqual([[0, 1], 1, 3])
  expect(supervisor.handles[0]).toBeDefined()
  await supervisor.close(0)
})

test('a node whose worker has ended before it could be used does not start', async () => {
  const { supervisor, starts, serve, ended } = open()
  const started = supervisor.start(1)
  starts[0]!.events.onEnd('out of memory', 'thread')
  serve(0)
  await expect(started).rejects.toThrow('out of memory')
  expect(ended).toEqual([0])
})

describe('the watchdog', () => {
  const HANGS: ProgressReading = {
    stirs: 5,
    isOverdue: false,
    count: 5,
    occupation: { stream: 'account/1', name: 'hang', request: undefined },
  }

  async function watch(progress: () => ProgressReading) {
    const opened = open()
    const started = opened.supervisor.start(1)
    opened.serve(0, progress)
    await started
    onTestFinished(() => opened.supervisor.close(0))
    return opened
  }

  test('a handler that does not return costs its worker, whose successor leaves the aggregate alone', async () => {
    const { clock, starts, warnings, turn } = await watch(() => HANGS)
    clock.advance(HANDLER_MS)
    await turn()
    expect(starts).toHaveLength(1)
    clock.advance(HANDLER_MS / 4)
    await turn()
    expect(starts).toHaveLength(2)
    expect(starts[1]!.quarantined).toEqual([{ stream: 'account/1', ms: 1_000 }])
    expect(warnings.join()).toContain("'hang' on account/1")
  })

  test('handlers that return are left alone, and so is a thread that idles', async () => {
    let stirs = 0
    let count = 0
    const busy = await watch(() => ({ ...HANGS, count: (count += 1) }))
    const idle = await watch(() => ({ stirs: (stirs += 1), isOverdue: false, count: 5, occupation: undefined }))
    for (const { clock, starts, turn } of [busy, idle]) {
      for (let i = 0; i < 100; i += 1) clock.advance(HANDLER_MS)
      await turn()
      expect(starts).toHaveLength(1)
    }
  })

  test('after the process was stopped nobody is blamed for the time', async () => {
    const { clock, starts, turn } = await watch(() => HANGS)
    clock.advance(HANDLER_MS / 2)
    vi.spyOn(clock, 'monotonic').mockReturnValue(clock.monotonic() + 60 * HANDLER_MS)
    clock.advance(HANDLER_MS / 4)
    await turn()
    expect(starts).toHaveLength(1)
  })

  test('a thread that does nothing at all is given up, and nobody is blamed', async () => {
    const { clock, starts, warnings, turn } = await watch(() => ({
      stirs: 5,
      isOverdue: false,
      count: 5,
      occupation: undefined,
    }))
    clock.advance(2 * HANDLER_MS)
    await turn()
    expect(starts).toHaveLength(1)
    clock.advance(4 * HANDLER_MS)
    await turn()
    expect(starts).toHaveLength(2)
    expect(starts[1]!.quarantined).toEqual([])
    expect(warnings.join()).toContain('a call to the disk')
  })

  test('so is one that goes on with what needs no disk, while a call to that does not return', async () => {
    let count = 0
    const { clock, starts, turn } = await watch(() => {
      count += 1
      const occupation = count % 2 === 0 ? HANGS.occupation : undefined
      return { stirs: count, isOverdue: true, count, occupation }
    })
    for (let i = 0; i < 8; i += 1) clock.advance(HANDLER_MS)
    await turn()
    expect(starts).toHaveLength(2)
    expect(starts[1]!.quarantined).toEqual([])
  })

  test('a worker whose thread does not end is not waited for by a node that closes', async () => {
    const { clock, supervisor, starts, serve, warnings, turn } = open()
    const started = supervisor.start(1)
    const never = new Promise<never>(() => undefined)
    serve(0, () => undefined, { close: () => never, terminate: () => never })
    await started
    const closed = supervisor.close(500)
    for (let i = 0; i < 20; i += 1) {
      await turn()
      clock.advance(500)
    }
    await closed
    expect(warnings.join()).toContain('did not stop within 500 ms')
    expect(starts).toHaveLength(1)
  })

  test('what a thread ended with is told beside whose handler it was', async () => {
    const { starts, warnings, turn } = await watch(() => HANGS)
    starts[0]!.events.onEnd('out of memory', 'thread')
    await turn()
    expect(warnings.join()).toMatch(/out of memory.*'hang' on account\/1/)
    expect(starts[1]!.quarantined).toHaveLength(1)
  })

  test("a log that breaks while a handler runs is nobody else's fault", async () => {
    const { starts, warnings, turn } = await watch(() => HANGS)
    starts[0]!.events.onEnd('EIO', 'log')
    await turn()
    expect(warnings.join()).toContain('EIO')
    expect(starts[1]!.quarantined).toEqual([])
  })

  test('an aggregate that does it again is left alone for twice as long', async () => {
    const { clock, starts, serve, turn } = await watch(() => HANGS)
    clock.advance(1.25 * HANDLER_MS)
    await turn()
    serve(1, () => HANGS)
    await turn()
    clock.advance(1.25 * HANDLER_MS)
    await turn()
    expect(starts[2]!.quarantined).toEqual([{ stream: 'account/1', ms: 2_000 }])
  })
})
