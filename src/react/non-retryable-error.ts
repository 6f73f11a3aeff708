/**
 * Thrown by a reactor's handler, or an outbox' mapper, that knows that it would fail however often it is tried, as where a mail server
 * refuses an address for good. The event is not tried again: it is parked, or its shard halts, at once. Its message is told as the
 * reason. Where something of the log did not answer in the same attempt, that is waited for first, as always.
 */
export class NonRetryableError extends Error {
  override readonly name: string = 'NonRetryableError'
}
