/** A rule of the code itself does not hold: the worker that notices ends, and its successor recovers from the log. */
export class BrokenInvariant extends Error {
  override readonly name = 'BrokenInvariant'
}

/** For hot paths as well: a call of Node's own assert costs a tenth of a command. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (condition !== true) throw new BrokenInvariant(invariant)
}
