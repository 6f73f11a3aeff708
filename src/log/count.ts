/** Whether something that was read is a number of things, or of one of them: a whole number that is exact, from 0 up. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
