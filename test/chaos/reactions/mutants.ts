/** Rules of what reacts to events, each broken on purpose: those that the simulator has no need of, or breaks by its own chance. */
import { randomUUID } from 'node:crypto'
import { NodeEffects } from '../../../src/node/effects.ts'
import { RedisCalls } from '../../../src/platform/redis-calls.ts'
import { TELL } from '../../../src/aggregate/own-names.ts'
import { ScheduleRecord } from '../../../src/react/schedule-record.ts'
import { ReactorTimers } from '../../../src/react/timer.ts'
import { TimerWheel } from '../../../src/react/timer-wheel.ts'
import { replace, type Mutant } from '../../simulation/mutants.ts'

const LATER_MS = 1_000

export const REACTION_MUTANTS: readonly Mutant[] = [
  {
    name: 'ids-by-chance',
    breaks: 'each time a command is sent it has another id',
    install: () =>
      ask((command) => (command.stream.startsWith('$') ? command : { ...command, commandId: randomUUID() })),
  },
  {
    name: 'told-by-chance',
    breaks: 'a process is told an event again with another id',
    install: () => ask((command) => (command.name === TELL ? { ...command, commandId: randomUUID() } : command)),
  },
  {
    name: 'published-in-passing',
    breaks: 'an outbox goes on before who takes messages has them',
    install: () =>
      replace(
        RedisCalls.prototype,
        'run',
        (original) =>
          function (this: RedisCalls, work) {
            if (!String(work).includes('penholdPublish')) return original.call(this, work)
            setTimeout(() => void original.call(this, work).catch(() => undefined), LATER_MS)
            return Promise.resolve([Number.MAX_SAFE_INTEGER])
          } as typeof original,
      ),
  },
  {
    name: 'timers-forgotten-at-a-move',
    breaks: 'who takes a shard over does not know which buckets of timers there are',
    install: () =>
      replace(
        NodeEffects.prototype,
        'query',
        (original) =>
          function (this: NodeEffects, question) {
            return question.name === 'open' ? Promise.resolve({}) : original.call(this, question)
          },
      ),
  },
  {
    name: 'timers-early',
    breaks: 'timers fire before their time',
    install: () =>
      replace(
        TimerWheel.prototype,
        'place',
        (original) =>
          function (this: TimerWheel, timers, signal) {
            const early = timers.map((timer) => ({ ...timer, at: timer.at - 500 }))
            return original.call(this, early, signal)
          },
      ),
  },
  {
    name: 'timers-not-cancelled',
    breaks: 'a timer that is cancelled fires',
    install: () => replace(ReactorTimers.prototype, 'cancel', () => () => Promise.resolve()),
  },
  {
    name: 'missed-runs-left-out',
    breaks: 'of the runs that were missed only the last is made up for',
    install: () =>
      replace(
        ScheduleRecord.commands as Record<string, Decide>,
        'fire',
        (original) =>
          ({ defined, ...state }, ...given) =>
            original({ ...state, defined: { ...defined, missed: 'once' } }, ...given),
      ),
  },
  {
    name: 'one-clock-alone',
    breaks: "a schedule's next time is taken back by the clock of its owner alone",
    install: () =>
      ask(({ payload, ...command }) => ({
        ...command,
        payload: command.stream.startsWith('$schedule/') ? { ...(payload as object), otherTime: 0 } : payload,
      })),
  },
]

type Decide = (state: { readonly defined: object }, ...given: readonly unknown[]) => unknown

function ask(change: (command: Parameters<NodeEffects['ask']>[0]) => Parameters<NodeEffects['ask']>[0]): () => void {
  return replace(
    NodeEffects.prototype,
    'ask',
    (original) =>
      function (this: NodeEffects, command) {
        return original.call(this, change(command))
      },
  )
}
