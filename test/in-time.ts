/**
 * The time of a property that awaits something: it ends before its test does, which would say neither the seed nor what was
 * found. A run that hangs has failed, and is made shorter like any other; making it shorter ends when there is no more time.
 * One that was not run as often as it was to be has failed, too: as success it would hide what hangs.
 */
import { TestRunner } from 'vitest'

interface TimeOfProperty {
  /** Of one run. */
  readonly timeout: number
  readonly interruptAfterTimeLimit: number
  readonly markInterruptAsFailure: true
}

/** What `fc.assert` is told so, in the test that is running. */
export function inTime(): TimeOfProperty {
  const test = TestRunner.getCurrentTest()
  if (test === undefined) throw new Error('there is no test that is running')
  const { timeout } = test
  return { timeout: timeout / 8, interruptAfterTimeLimit: (timeout * 3) / 4, markInterruptAsFailure: true }
}
