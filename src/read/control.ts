/**
 * What a projection's store keeps beside the generations of its read model, in one small record: which there are, what each
 * is there for, and whether the projection is paused. Who runs the projection, at whichever node, goes by it.
 *
 * It is a value: what is done by hand, or at the end of a rebuild, is a step from one record to the next. A store puts the next one
 * in only where nobody has changed it meanwhile, so that of two who do something at once one sees what the other has done.
 */
import { assert } from '../aggregate/assert.ts'
import { readModelUnusable } from './read-model-error.ts'

export interface Control {
  /** One more with each change. */
  readonly revision: number
  /** The generation that queries see. */
  readonly live: number
  /** The greatest number that was ever given: none is used twice. */
  readonly last: number
  /** By hand: no generation is to change, but for what is done by hand. */
  readonly isPaused: boolean
  /** All that there are, by number. */
  readonly generations: readonly Generation[]
}

export interface Generation {
  readonly number: number
  readonly state: GenerationState
  /** In which order its events take effect; `undefined` until its first lane has begun. */
  readonly order?: 'all' | 'shard'
}

export type GenerationState =
  /** It is live, or was, and is kept to go back to. */
  | 'kept'
  /** It is being rebuilt: whoever runs lanes runs them in it too, until it is live or dropped. */
  | 'under way'
  /** The same, and it may go live with parked events. */
  | 'accepted'
  /** It was live, and somebody went back from it. */
  | 'aside'
  /** Somebody tries something out in it, and will drop it. */
  | 'trial'

export const FIRST: Control = {
  revision: 1,
  live: 1,
  last: 1,
  isPaused: false,
  generations: [{ number: 1, state: 'kept' }],
}

/** Where the record is kept. Each call ends as those of `ReadModel` do. */
export interface Controlled {
  control(): Promise<Control>
  /**
   * Puts another record in the place of this one, makes the generations that it names newly, empty, and removes those that
   * it does not name any more. Whole or not at all, but that of what is removed something may stay until the read model is
   * opened again, unseen. Resolves to whether it has: not where the record is another one by now, and not where the one that
   * `goesLiveItself` has parked events at that moment. Its lanes run at several nodes, so that only the store can tell.
   */
  replaceControl(from: Control, to: Control): Promise<boolean>
}

/**
 * Takes a step from whatever the record is, as often as others come between. Resolves to what it is then: as it was, where the
 * store refuses.
 * @param step the record that is to take its place; the same one where nothing is to be done
 */
export async function takeStep(readModel: Controlled, step: (control: Control) => Control): Promise<Control> {
  let refused = 0
  for (;;) {
    const from = await readModel.control()
    const next = from.revision === refused ? from : step(from)
    if (next === from) return from
    const to = { ...next, revision: from.revision + 1 }
    if (await readModel.replaceControl(from, to)) return to
    // Nobody has come between: the store does not take it.
    refused = from.revision
  }
}

export function generationOf(control: Control, number: number): Generation | undefined {
  return control.generations.find((each) => each.number === number)
}

/** One that is being rebuilt, or was set aside: there is one at most. */
export function unfinishedOf({ generations }: Control): Generation | undefined {
  return generations.find(({ state }) => state === 'under way' || state === 'accepted' || state === 'aside')
}

/** The one that is being rebuilt. */
export function rebuildOf(control: Control): Generation | undefined {
  const unfinished = unfinishedOf(control)
  return unfinished?.state === 'aside' ? undefined : unfinished
}

/** The rebuilt one that takes the live one's place without anybody's word: only without parked events may it. */
export function goesLiveItself(from: Control, to: Control): number | undefined {
  return to.live !== from.live && generationOf(from, to.live)?.state === 'under way' ? to.live : undefined
}

/** The one to go back to. */
export function previousOf({ live, generations }: Control): number | undefined {
  return generations.findLast(({ number, state }) => number < live && state === 'kept')?.number
}

/** An empty generation more. Its number is `last`. */
export function withNew(control: Control, fresh: Omit<Generation, 'number'>): Control {
  const number = control.last + 1
  return { ...control, last: number, generations: [...control.generations, { number, ...fresh }] }
}

export function withChanged(control: Control, number: number, changes: Omit<Partial<Generation>, 'number'>): Control {
  assert(generationOf(control, number) !== undefined, 'a generation that is changed is there')
  const generations = control.generations.map((each) => (each.number === number ? { ...each, ...changes } : each))
  return { ...control, generations }
}

/** Queries see this generation. */
export function withLive(control: Control, live: number): Control {
  return { ...withChanged(control, live, { state: 'kept' }), live }
}

/** Queries see the one before again; the one that was live is set aside. */
export function withPrevious(control: Control, previous: number): Control {
  return withLive(withChanged(control, control.live, { state: 'aside' }), previous)
}

export function without(control: Control, isGone: (generation: Generation) => boolean): Control {
  const generations = control.generations.filter((each) => !isGone(each))
  assert(
    generations.some(({ number }) => number === control.live),
    'the live generation is not dropped',
  )
  return generations.length === control.generations.length ? control : { ...control, generations }
}

/** One is kept to go back to. */
export function withoutOlder(control: Control): Control {
  const previous = previousOf(control)
  return without(control, ({ number }) => previous !== undefined && number < previous)
}

/** Which generations a store has to make, and to remove. */
export function differenceOf(
  from: Control,
  to: Control,
): { readonly begun: readonly number[]; readonly dropped: readonly number[] } {
  const [before, after] = [from, to].map(({ generations }) => generations.map(({ number }) => number)) as [
    number[],
    number[],
  ]
  return {
    begun: after.filter((number) => !before.includes(number)),
    dropped: before.filter((number) => !after.includes(number)),
  }
}

/** A record as a store keeps it. @throws PenholdError `ReadModelUnusable` where it is none */
export function parseControl(text: unknown, where: string): Control {
  try {
    const control = JSON.parse(String(text)) as Control
    if (Number.isSafeInteger(control.revision) && generationOf(control, control.live) !== undefined) return control
  } catch {
    // Told below.
  }
  throw readModelUnusable(where, 'what it says of its generations is damaged')
}
