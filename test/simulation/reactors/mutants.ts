/** Rules of what consumes events, each broken on purpose. */
import { Senders } from '../../../src/actor/senders.ts'
import { Router } from '../../../src/cluster/router.ts'
import { IdSource } from '../../../src/log/identity.ts'
import { NodeEffects } from '../../../src/node/effects.ts'
import { Consumers } from '../../../src/node/consumers.ts'
import { ConsumerLane } from '../../../src/react/consumer-lane.ts'
import { ConsumerPlace } from '../../../src/react/consumer-place.ts'
import { ParkedRetry } from '../../../src/react/parked-retry.ts'
import { KNOWN, TELL } from '../../../src/aggregate/own-names.ts'
import { StreamQueues } from '../../../src/react/stream-queues.ts'
import { TimerRecord } from '../../../src/react/timer.ts'
import { TimerWheel } from '../../../src/react/timer-wheel.ts'
import { Window } from '../../../src/react/window.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { SimulatedClock } from '../../../src/testing/simulated-clock.ts'
import { replace, type Mutant } from '../mutants.ts'

export const REACTOR_MUTANTS: readonly Mutant[] = [
  {
    name: 'timer-placed-in-passing',
    breaks: 'the fact of a timer counts as handled before the timer is in a bucket',
    install: () =>
      replace(
        TimerWheel.prototype,
        'place',
        (original) =>
          async function (this: TimerWheel, timers, signal) {
            original.call(this, timers, signal).catch(() => undefined)
          },
      ),
  },
  {
    name: 'checkpoint-before-effect',
    breaks: 'the place is recorded up to where was read, whatever is done',
    install() {
      const original = Object.getOwnPropertyDescriptor(Window.prototype, 'lowWater')!
      Object.defineProperty(Window.prototype, 'lowWater', {
        ...original,
        get(this: Window) {
          return this.read
        },
      })
      return () => void Object.defineProperty(Window.prototype, 'lowWater', original)
    },
  },
  {
    name: 'ids-not-derived',
    breaks: 'each time a command is sent it has another id',
    install() {
      const ids = new IdSource(new SimulatedClock(), new SeededRandom(1))
      return replace(
        NodeEffects.prototype,
        'ask',
        (original) =>
          function (this: NodeEffects, command) {
            const isRecord = command.stream.startsWith('$')
            return original.call(this, isRecord ? command : { ...command, commandId: ids.next() })
          },
      )
    },
  },
  {
    name: 'looked-for-in-the-window-alone',
    breaks: 'what is sent again is looked for among the last commands, and not as far back as its cause',
    install: () =>
      replace(
        Router.prototype,
        'send',
        (original) =>
          function (this: Router, shard, message, outcome, options) {
            original.call(this, shard, message, outcome, { ...options, cause: undefined })
          },
      ),
  },
  {
    name: 'parked-forgotten',
    breaks: 'who takes a lane over lets through what follows a parked event in its stream',
    install: () => replace(ParkedRetry.prototype, 'takes', () => () => false),
  },
  {
    name: 'window-forgets-failing-stream',
    breaks: 'an event that fails is let go of with its stream',
    install: () =>
      replace(
        StreamQueues.prototype,
        'again',
        () =>
          function (this: StreamQueues, entry) {
            entry.state = 'done'
            this.done(entry)
          },
      ),
  },
  {
    name: 'streams-out-of-order',
    breaks: 'the next event of a stream begins while one before it waits to be tried again',
    install: () =>
      replace(
        StreamQueues.prototype,
        'again',
        (original) =>
          function (this: StreamQueues, entry) {
            this.done(entry)
            this.add(entry)
            void original
          },
      ),
  },
  {
    name: 'parked-in-memory-alone',
    breaks: 'what is parked is not recorded',
    install: () => replace(ConsumerPlace.prototype, 'park', () => () => Promise.resolve()),
  },
]

/** Rules of what replies wait for. */
export const SYNCHRONOUS_MUTANTS: readonly Mutant[] = [
  {
    name: 'reply-before-the-reactor',
    breaks: 'a reply waits for no synchronous reactor',
    install: () => replace(Consumers.prototype, 'unsettled', () => () => Promise.resolve([])),
  },
  {
    name: 'failure-not-reported',
    breaks: 'a reply does not say that a synchronous reactor has failed',
    install: () =>
      replace(
        Consumers.prototype,
        'unsettled',
        (original) =>
          async function (this: Consumers, wanted, ms) {
            const unsettled = await original.call(this, wanted, ms)
            return unsettled.filter(({ state }) => state !== 'failed')
          },
      ),
  },
  {
    name: 'read-is-tried',
    breaks: 'an event that its lane has read counts as tried',
    install: () => replace(Window.prototype, 'firstOf', () => () => undefined),
  },
  {
    name: 'parked-is-done',
    breaks: 'what waits behind a parked event counts as done',
    install: () => replace(ParkedRetry.prototype, 'before', () => () => undefined),
  },
  {
    name: 'left-is-done',
    breaks: 'what its lane leaves counts as done',
    install: () =>
      replace(
        ConsumerLane.prototype,
        'attempted',
        (original) =>
          function (this: ConsumerLane, event) {
            const attempted = original.call(this, event)
            return attempted?.kind === 'pending' ? { kind: 'done' } : attempted
          },
      ),
  },
]

type Decide = (...args: readonly any[]) => unknown

function replaceCommand(name: 'cancel' | 'fire', decide: (original: Decide) => Decide): () => void {
  const commands = TimerRecord.commands as unknown as Record<string, Decide>
  const original = commands[name]!
  commands[name] = decide(original)
  return () => void (commands[name] = original)
}

/** Rules of timers that are replaced and cancelled. */
export const SHIFTING_MUTANTS: readonly Mutant[] = [
  {
    name: 'cancels-none-without-a-fact',
    breaks:
      'a cancellation that finds no timer leaves no fact, so that the same event, handled again, reaches a later one',
    install: () =>
      replaceCommand(
        'cancel',
        (original) =>
          (state, ...more) =>
            state.token === undefined ? undefined : original(state, ...more),
      ),
  },
  {
    name: 'timer-fires-by-its-id',
    breaks: 'one that was replaced or cancelled fires all the same, in the name of the one that is set',
    install: () =>
      replaceCommand(
        'fire',
        (original) => (state, fired, context) => original(state, { ...fired, token: state.token }, context),
      ),
  },
  ...REACTOR_MUTANTS.filter(({ name }) => name === 'timer-placed-in-passing'),
]

/** What is noticed in plans of their own. */
export const LATE_SENDERS: Mutant = {
  name: 'late-senders-count',
  breaks: 'what a consumer has sent counts whoever has its shard by then (I5)',
  install: () => replace(Senders.prototype, 'check', () => () => undefined),
}

/** What is noticed in others. */
export const UNLOOKED: Mutant = {
  name: 'refusals-count-unlooked',
  breaks: 'what its sender refuses has failed, also where it was accepted before (I5)',
  install() {
    const failure = {
      code: 'ExpectedVersion',
      message: '',
      outcome: 'none',
      retryable: false,
      details: undefined,
    } as const
    return replace(
      Router.prototype,
      'send',
      (original) =>
        function (this: Router, ...[shard, message, outcome, options]) {
          const isLook = message.kind === 'command' && message.name === KNOWN
          if (isLook) outcome.resolve({ kind: 'failed', failure })
          else original.call(this, shard, message, outcome, options)
        },
    )
  },
}

/** Rules of processes, and those without which they cannot keep theirs. */
export const PROCESS_MUTANTS: readonly Mutant[] = [
  LATE_SENDERS,
  UNLOOKED,
  ...REACTOR_MUTANTS.filter(({ name }) => ['checkpoint-before-effect', 'ids-not-derived'].includes(name)),
  {
    name: 'told-twice-counts-twice',
    breaks: 'a process is told an event again with another id',
    install() {
      const ids = new IdSource(new SimulatedClock(), new SeededRandom(1))
      return replace(
        NodeEffects.prototype,
        'ask',
        (original) =>
          function (this: NodeEffects, command) {
            return original.call(this, command.name === TELL ? { ...command, commandId: ids.next() } : command)
          },
      )
    },
  },
]
