import { defineAggregate, defineCluster } from '../../src/index.ts'

/** Keeps who has written into it, and how often. */
export const Journal = defineAggregate({
  type: 'journal',
  initialState: (): { entries: Readonly<Record<string, number>> } => ({ entries: {} }),
  events: {
    Written: ({ entries }, { by }: { by: string }) => ({ entries: { ...entries, [by]: (entries[by] ?? 0) + 1 } }),
  },
  commands: {
    write: ({ entries }, { by, nth }: { by: string; nth: number }, { emit, reject }) =>
      (entries[by] ?? 0) + 1 === nth ? emit.Written({ by }) : reject('out-of-order', { expected: entries[by] ?? 0 }),
  },
  queries: { entries: (state) => state.entries },
})

export default defineCluster({
  name: 'upgrade',
  aggregates: [Journal],
  dataDir: '../../.tmp/upgrade',
  shards: 8,
  workers: 2,
  timeouts: { askMs: 30_000, leaseMs: 3_000 },
  onWarning: () => undefined,
})
