/** Whether the process stays: most timers hold nothing, and without threads or sockets nothing else may. */

/** The longest that a timer takes. */
const AGAIN_MS = 2 ** 31 - 1

/** The process stays until what is returned is called. */
export function keepAlive(): () => void {
  const timer = setInterval(() => undefined, AGAIN_MS)
  return () => clearInterval(timer)
}
