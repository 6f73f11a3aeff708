/** An aggregate whose decisions are watched: what its handlers were given, by the command's id. It decides as before. */
import type { Aggregate, CommandContext } from '../aggregate/aggregate.ts'
import { copyOf, type Draws, type Request } from './decision.ts'

/** A decision that was made, with all that it stood on. */
export interface Watched {
  readonly state: unknown
  readonly request: Request
}

interface Drawn {
  readonly ids: string[]
  readonly fractions: number[]
}

type Decide = (state: unknown, payload: unknown, context: CommandContext<unknown>) => unknown

/**
 * `decisions` gets the last decision on each command. `lateMs` says how much later it is for the handlers than for the
 * machine: months that pass for them are none in which a machine has to live through its timers.
 */
export function watch<A extends Aggregate>(
  aggregate: A,
  decisions: Map<string, Watched>,
  lateMs: () => number = () => 0,
): A {
  const commands = Object.entries(aggregate.commands as Record<string, Decide>).map(([name, decide]) => {
    const watched: Decide = (state, payload, context) => {
      const drawn: Drawn = { ids: [], fractions: [] }
      const { emit, reject, id, commandId, metadata } = context
      const now = context.now + lateMs()
      const request = { name, payload: copyOf(payload), id, commandId, metadata, now, draws: () => drawnAgain(drawn) }
      decisions.set(commandId, { state, request })
      const newId = (): string => kept(drawn.ids, context.newId())
      const random = (): number => kept(drawn.fractions, context.random())
      return decide(state, payload, { emit, reject, id, commandId, metadata, now, newId, random })
    }
    return [name, watched]
  })
  return { ...aggregate, commands: Object.fromEntries(commands) as A['commands'] }
}

function kept<Value>(values: Value[], value: Value): Value {
  values.push(value)
  return value
}

/** The same draws for another run; a handler that draws more than it did gets nothing it could have had. */
function drawnAgain({ ids, fractions }: Drawn): Draws {
  let id = 0
  let fraction = 0
  return {
    newId: () => ids[id++] ?? 'an id more than the first time',
    random: () => fractions[fraction++] ?? Number.NaN,
  }
}
