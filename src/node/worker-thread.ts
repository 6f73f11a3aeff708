/** The entry of a worker's thread. What it says and is told: worker-handle.ts. */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { toFailure } from '../actor/error.ts'
import type { Link } from '../cluster/link.ts'
import { blocking } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import { surviveStrayErrors } from '../platform/stray-errors.ts'
import { systemClock, systemRandom } from '../platform/system.ts'
import { insideThread, linkOver } from '../platform/thread.ts'
import { loadConfig, type Overrides } from './config.ts'
import { writeProgress } from './progress.ts'
import { rehearse } from './rehearsal.ts'
import { Stirring } from './stirring.ts'
import { hostWorker, type Start, type WorkerHost } from './worker-host.ts'
import type { FromWorker, ToWorker } from './worker-handle.ts'

export interface ThreadData extends Start {
  readonly configUrl: string
  readonly overrides: Overrides
  readonly clusterId: string
  readonly progress: SharedArrayBuffer
  /** Whether shards may come to it from others: not where callers wait for a worker that it replaces. */
  readonly rehearses: boolean
}

async function run(): Promise<void> {
  const thread = insideThread<ThreadData>()
  const { configUrl, overrides, clusterId, shards, quarantined, progress, rehearses } = thread.data
  const say = (message: FromWorker): void => thread.post(message)
  const warn = (message: string): void => say({ kind: 'warning', message })
  const closed = (): void => (say({ kind: 'closed' }), thread.close())
  const writer = writeProgress(progress)
  const stirring = new Stirring(systemClock, (isOverdue) => writer.stir(isOverdue))
  try {
    const config = await loadConfig(new URL(configUrl), overrides)
    if (rehearses) await rehearse({ onWarning: warn })
    const host = await hostWorker({
      storage: new FileStorage(config.dataDir, stirring.watch(blocking)),
      clock: systemClock,
      random: systemRandom,
      config,
      clusterId,
      shards,
      quarantined,
      link: thread.link,
      progress: writer,
      onWarning: warn,
      onLost: (lost) => say({ kind: 'lost', shards: lost }),
      onBroken: (error) => say({ kind: 'broken', reason: String(error) }),
    })
    const links = new Map<number, Link>()
    thread.onMessage((message) => {
      const told = message as ToWorker
      if (told.kind === 'call') void answer(host, told).then(say)
      else if (told.kind === 'connect') {
        const link = linkOver(told.port)
        links.set(told.link, link)
        host.connect(link, told.protocol)
      } else if (told.kind === 'disconnect') {
        links.get(told.link)?.close()
        links.delete(told.link)
      } else
        void host
          .close()
          .then(closed, (error: unknown) => (warn(`a worker could not close its log: ${reasonOf(error)}`), closed()))
    })
    // Until here, what fails unseen is a reason not to start.
    surviveStrayErrors(warn)
    say({ kind: 'ready', position: host.position })
  } catch (error) {
    if (!(error instanceof PenholdError)) throw error
    say({ kind: 'refused', failure: toFailure(error) })
    thread.close()
  }
}

async function answer(host: WorkerHost, { call, name, args }: ToWorker & { kind: 'call' }): Promise<FromWorker> {
  try {
    const method = host[name] as (...given: readonly unknown[]) => unknown
    return { kind: 'returned', call, value: await method(...args) }
  } catch (error) {
    return { kind: 'threw', call, failure: toFailure(error) }
  }
}

await run()
