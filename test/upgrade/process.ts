/**
 * A node or a client of a cluster, in a process of its own, that writes until it is told to end. It runs today's code,
 * or, copied beside the package of the version before, that one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { connect, startNode, type Overrides } from '../../src/index.ts'
import config, { Journal } from './cluster.config.ts'

export interface Start {
  readonly kind: 'node' | 'client'
  /** Stands for it in what it writes. */
  readonly name: string
  readonly journals: readonly string[]
  readonly overrides: Overrides
}

export type Told =
  { readonly kind: 'started' } | { readonly kind: 'written'; readonly rows: number; readonly shards: number } | Ended

/** By journal, how many entries were acknowledged; and whatever failed. */
export interface Ended {
  readonly kind: 'ended'
  readonly entries: Readonly<Record<string, number>>
  readonly failures: readonly string[]
}

/** Sent at once, so that their order is the routers' to keep. */
const ROW = 4
/** Between two rows: a machine that is all taken starts processes slowly. */
const PAUSE_MS = 50

async function run({ kind, name, journals, overrides }: Start): Promise<void> {
  const url = new URL('cluster.config.ts', import.meta.url)
  const node = kind === 'node' ? await startNode(url, overrides) : undefined
  const host = node ?? (await connect({ ...config, ...overrides, timeouts: config.timeouts } as typeof config))
  const entries: Record<string, number> = {}
  const failures: string[] = []
  let isOver = false
  let rows = 0
  const write = async (id: string): Promise<void> => {
    const journal = host.ref(Journal, id)
    for (let last = 0; !isOver; last += ROW) {
      const row = Array.from({ length: ROW }, (_, i) => journal.ask('write', { by: name, nth: last + 1 + i }))
      for (const answer of await Promise.allSettled(row)) {
        if (answer.status === 'fulfilled') entries[id] = (entries[id] ?? 0) + 1
        else failures.push(`${id}: ${String(answer.reason)}`)
      }
      if (failures.length > 0) return
      rows += 1
      await delay(PAUSE_MS)
    }
  }
  const writing = Promise.all(journals.map(write))
  const tell = (told: Told): void => void process.send?.(told)
  tell({ kind: 'started' })
  const report = async (): Promise<void> => {
    const workers = (await node?.status())?.workers ?? []
    if (!isOver) tell({ kind: 'written', rows, shards: workers.flatMap((worker) => worker?.shards ?? []).length })
  }
  const timer = setInterval(() => void report(), 20)
  process.once('SIGTERM', () => {
    isOver = true
    clearInterval(timer)
    // What is under way is answered before it ends.
    void Promise.all([host.close(), writing]).then(() => {
      tell({ kind: 'ended', entries, failures })
      process.disconnect()
    })
  })
}

process.once('message', (start: Start) => void run(start))
