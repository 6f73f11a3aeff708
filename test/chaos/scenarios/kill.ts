/** The process is killed at a random moment: while it works, and while it takes its shards over from the last one. */
import { join } from 'node:path'
import type { Scenario } from '../scenario.ts'

export const kill: Scenario = {
  name: 'kill',
  about: 'SIGKILL at random moments under load, and another process goes on',
  requirements: ['linux'],
  cycles: 300,
  async run(chaos) {
    const dataDir = join(chaos.folder, 'data')
    void chaos.bank.begin()
    while (chaos.figures.cycles < chaos.cycles) {
      const node = chaos.start(dataDir)
      if (chaos.figures.cycles > 0 && chaos.random.chance(0.3)) {
        await chaos.wait(0, 800)
        chaos.bank.fault('kill while starting or soon after')
      } else {
        await chaos.untilOpen(node)
        await chaos.wait(0, 500)
        chaos.bank.fault('kill under load')
      }
      await node.kill()
      await chaos.turn(dataDir)
    }
  },
}
