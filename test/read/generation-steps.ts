/** What is done with the generations of a read model, for tests of stores. */
import { takeStep, withLive, withNew, without } from '../../src/read/control.ts'
import type { ReadModel } from '../../src/read/read-model.ts'

export async function begin(model: ReadModel<any>): Promise<number> {
  return (await takeStep(model, (control) => withNew(control, { state: 'under way', order: 'all' }))).last
}

export async function promote(model: ReadModel<any>, live: number): Promise<void> {
  await takeStep(model, (control) => withLive(control, live))
}

export async function drop(model: ReadModel<any>, number: number): Promise<void> {
  await takeStep(model, (control) => without(control, (generation) => generation.number === number))
}

/** Which there are, and which is live. */
export async function numbersOf(
  model: ReadModel<any>,
): Promise<{ readonly live: number; readonly all: readonly number[] }> {
  const { live, generations } = await model.control()
  return { live, all: generations.map(({ number }) => number) }
}
