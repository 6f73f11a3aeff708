/**
 * The power of the data's disk is cut: what was not synced is gone, also from the system's memory. In some cycles the
 * process was killed before and its successor is just taking over from what only the system's memory has.
 */
import { Disk } from '../disk.ts'
import type { Scenario } from '../scenario.ts'

const DISK_BYTES = 4 * 1024 ** 3

export const powerLoss: Scenario = {
  name: 'power-loss',
  about:
    'an ext4 file system is shut down without flushing under load, unmounted, mounted, and another process goes on',
  requirements: ['mounts'],
  cycles: 300,
  async run(chaos) {
    const disk = new Disk(chaos.folder, { bytes: DISK_BYTES }, chaos.cleanup)
    void chaos.bank.begin()
    while (chaos.figures.cycles < chaos.cycles) {
      let node = chaos.start(disk.dataDir)
      if (chaos.figures.cycles > 0 && chaos.random.chance(0.2)) {
        await chaos.wait(0, 800)
      } else {
        await chaos.untilOpen(node)
        await chaos.wait(0, 500)
      }
      const isTakenOver = chaos.random.chance(0.3)
      if (isTakenOver) {
        await node.kill()
        node = chaos.start(disk.dataDir)
        await chaos.wait(0, 700)
      }
      chaos.bank.fault(isTakenOver ? 'power cut soon after a kill' : 'power cut')
      // What the node does from here on is done to a disk that is gone.
      node.expectEnd()
      await disk.cutPower()
      await chaos.wait(0, 50)
      await node.kill()
      disk.remount()
      await chaos.turn(disk.dataDir)
    }
  },
}
