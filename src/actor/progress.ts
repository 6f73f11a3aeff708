/** Who watches what users' code does with a worker's thread. */
import type { Message, Sender } from './message.ts'

/** Told before and after users' code runs. */
export interface Progress {
  enter(sender: Sender, message: Message): void
  leave(): void
}
