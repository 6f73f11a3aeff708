/**
 * A process as an aggregate: its events are facts (process-facts.ts), its commands what has happened to it. Each command
 * records what has happened and what its handler then decided, together.
 *
 * P1 What happens twice has effect once. An event is told with an id derived from its own, and whoever tells it again has
 *    it looked for in the log as far back as the event itself; a timer fires while its token is pending, a command has an
 *    outcome while it has none.
 * P2 A replay decides nothing.
 * P3 What is over takes no more: whatever comes is accepted and recorded as nothing. Outcomes are still recorded.
 */
import { defineAggregate, type Aggregate, type CommandContext, type Decision } from '../aggregate/aggregate.ts'
import { frozen } from '../aggregate/frozen.ts'
import { DUE, FIRE, OUTCOME, TELL } from '../aggregate/own-names.ts'
import type { AnyProcess, CommandOutcome, ProcessState } from './process.ts'
import { decideOn } from './process-decision.ts'
import { commandKey, foldsOf, toldEvent, type Fact, type Folds, type TimerFired, type Told } from './process-facts.ts'

const compiled = new WeakMap<AnyProcess, Aggregate>()

/** The aggregate that a process is; always the same one. */
export function aggregateOf(process: AnyProcess): Aggregate {
  const known = compiled.get(process)
  if (known !== undefined) return known
  const aggregate = compile(process)
  compiled.set(process, aggregate)
  return aggregate
}

function compile(process: AnyProcess): Aggregate {
  const { type, initialState, stateVersion, snapshotEvery } = process
  const base = defineAggregate({
    type,
    stateVersion,
    snapshotEvery,
    initialState: (): ProcessState => ({
      state: frozen(initialState()) as unknown,
      isCompleted: false,
      sends: [],
      timers: [],
      sent: 0,
      timersSet: 0,
    }),
    events: {},
    commands: {},
  })
  const folds = foldsOf(process)
  const queries = { [DUE]: isDue }
  return { ...base, events: folds, commands: commandsOf(process, folds), queries }
}

function isDue({ sends }: ProcessState, command: number): boolean {
  return sends.some(({ n }) => n === command)
}

type Command = (state: ProcessState, payload: never, context: CommandContext<unknown>) => Decision

function commandsOf(process: AnyProcess, folds: Folds): Readonly<Record<string, Command>> {
  return {
    [TELL](state, told: Told, context) {
      if (state.isCompleted) return undefined
      const after = folds.$told(state, told)
      const trigger = toldEvent(process, told)
      return [{ type: '$told', data: told }, ...decideOn(process, after, { name: trigger.type, trigger, context })]
    },

    [OUTCOME](state, { isUnheard, ...outcome }: CommandOutcome & { readonly isUnheard?: true }, context) {
      if (!isDue(state, outcome.n)) return undefined
      const fact: Fact = { type: '$outcome', data: outcome }
      if (state.isCompleted || isUnheard === true) return fact
      const after = folds.$outcome(state, outcome)
      return [fact, ...decideOn(process, after, { name: commandKey(outcome), trigger: frozen(outcome), context })]
    },

    [FIRE](state, fired: TimerFired, context) {
      const timer = state.timers.find(({ id, token }) => id === fired.id && token === fired.token)
      if (timer === undefined) return undefined
      const after = folds.$timerFired(state, fired)
      const trigger = frozen({ id: timer.id, at: timer.at })
      return [{ type: '$timerFired', data: fired }, ...decideOn(process, after, { name: timer.id, trigger, context })]
    },
  }
}
