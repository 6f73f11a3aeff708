/** What is fuzzed: inputs that fast-check makes and shrinks, and what must hold for each of them. */
import fc from 'fast-check'

export interface Target {
  readonly name: string
  /** Runs one made-up input, and throws where the promise does not hold. */
  readonly property: fc.IAsyncProperty<any>
}

export function target<Input>(
  name: string,
  inputs: fc.Arbitrary<Input>,
  holds: (input: Input) => void | Promise<void>,
): Target {
  const property = fc.asyncProperty(inputs, async (input) => holds(input))
  return { name, property }
}

/** What the work returns; undefined where it fails with an error that is documented. Any other error is a finding. */
export async function orDocumented<T>(
  work: () => T | Promise<T>,
  isDocumented: (error: unknown) => boolean,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (isDocumented(error)) return undefined
    throw error
  }
}
