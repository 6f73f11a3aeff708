import { defineAggregate, defineCluster, defineReactor } from '../src/index.ts'

/** Sets so many timers, one after the other by `stepMs`, the first due at `from`. */
export interface Plan {
  readonly first: number
  readonly count: number
  readonly from: number
  readonly stepMs: number
}

export const Planner = defineAggregate({
  type: 'planner',
  initialState: () => 0,
  events: { Planned: (plans, _plan: Plan) => plans + 1 },
  commands: { plan: (_state, plan: Plan, { emit }) => emit.Planned(plan) },
})

/** What timers are set for. */
export const Target = defineAggregate({
  type: 'target',
  initialState: () => 0,
  events: { Reached: (count, _due: { readonly at: number }) => count + 1 },
  commands: { reach: (_state, due: { readonly at: number }, { emit }) => emit.Reached(due) },
})

const TARGETS = 1_000

const Plans = defineReactor({
  name: 'plans',
  from: [Planner],
  startAt: 'beginning',
  handlerTimeoutMs: 600_000,
  on: {
    Planned: async ({ data: { first, count, from, stepMs } }, { schedule }) => {
      const each = Array.from({ length: count }, (_, i) => {
        const at = Math.floor(from + i * stepMs)
        return schedule(String(first + i), { at }, Target, String((first + i) % TARGETS), 'reach', { at })
      })
      await Promise.all(each)
    },
  },
})

export default defineCluster({
  name: 'bench',
  aggregates: [Planner, Target],
  reactors: [Plans],
  dataDir: '.tmp/data',
})
