import { defineCluster, defineReactor } from '../src/index.ts'
import { Account } from './account.ts'

/** By the event's id: when its handler began. Handlers run on the node's main thread, which reads it here. */
export const arrived = new Map<string, number>()

const Notices = defineReactor({
  name: 'notices',
  startAt: 'beginning',
  from: [Account],
  on: {
    MoneyDeposited: ({ id }) => {
      arrived.set(id, performance.now())
    },
  },
})

export default defineCluster({ name: 'bench', aggregates: [Account], reactors: [Notices], dataDir: '.tmp/data' })
