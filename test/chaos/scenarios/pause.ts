/**
 * The process is stopped at a random moment, and its lock taken away: a second one takes the directory over, as if the
 * lock had failed. Then the first wakes up and goes on where it was, a second writer for all it knows, with commands
 * under way and new ones coming; nothing that it acknowledges from then on may be lost.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { LOCK_PATH } from '../../../src/log/path.ts'
import type { Scenario } from '../scenario.ts'

export const pause: Scenario = {
  name: 'pause',
  about: 'SIGSTOP at random moments, a second process takes over in spite of the lock, and SIGCONT wakes the first',
  requirements: ['linux'],
  cycles: 100,
  async run(chaos) {
    const dataDir = join(chaos.folder, 'data')
    void chaos.bank.begin()
    let first = chaos.start(dataDir)
    while (chaos.figures.cycles < chaos.cycles) {
      const isStarting = chaos.figures.cycles > 0 && chaos.random.chance(0.2)
      if (isStarting) {
        await first.kill()
        first = chaos.start(dataDir)
        await chaos.wait(0, 700)
      } else {
        await chaos.untilOpen(first)
        await chaos.wait(0, 400)
      }
      first.signal('SIGSTOP')
      chaos.bank.fault(isStarting ? 'stopped while starting' : 'stopped under load')
      chaos.bank.leave(first)
      fs.rmSync(join(dataDir, LOCK_PATH), { force: true })
      // With another number of workers the shards of one journal go to several, one after the other.
      const second = chaos.start(dataDir, { workers: 1 + chaos.random.below(3) })
      // Whichever comes to the lock first then, the other one is refused.
      if (isStarting) for (const node of [first, second]) node.expectEnd()
      // The second one is at work, or just about to be.
      if (chaos.random.chance(0.7)) await chaos.untilOpen(second)
      await chaos.wait(0, 300)
      first.signal('SIGCONT')
      chaos.bank.serve(first)
      await chaos.wait(0, 300)
      // Both may have been starting, and then either may have some of the shards: neither is the one to go on with.
      if (chaos.random.chance(0.5)) await first.kill()
      else await first.close()
      if (isStarting) await second.kill()
      first = isStarting ? chaos.start(dataDir) : second
      const isEnded = await chaos.turn(dataDir)
      if (isEnded && chaos.figures.cycles < chaos.cycles) first = chaos.start(dataDir)
    }
  },
}
