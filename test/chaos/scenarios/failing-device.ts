/**
 * The device under the file system has no room for what the file system has promised room for: syncs fail, and the next
 * ones succeed and lie. The node must give up what it was writing and go on by itself when the device is well again; or
 * a successor takes over while the system's memory still shows what the device never got. Then that memory is dropped.
 */
import type { Chaos } from '../chaos.ts'
import { Backing, Disk } from '../disk.ts'
import type { NodeProcess } from '../node.ts'
import type { Scenario } from '../scenario.ts'

const DEVICE_BYTES = 256 * 1024 * 1024
/** What the file system believes to have; sparse, so that it takes from the device only what was written. */
const DISK_BYTES = 1024 ** 3
const RESUME_MS_MAX = 60_000

export const failingDevice: Scenario = {
  name: 'failing-device',
  about: 'fdatasync fails with EIO or ENOSPC and lies afterwards, as the device under the file system takes no more',
  requirements: ['mounts'],
  cycles: 50,
  async run(chaos) {
    const backing = new Backing(chaos.folder, DEVICE_BYTES, chaos.cleanup)
    const disk = new Disk(backing.folder, { bytes: DISK_BYTES, isFailing: true }, chaos.cleanup)
    void chaos.bank.begin()
    while (chaos.figures.cycles < chaos.cycles) {
      const node = chaos.start(disk.dataDir)
      await chaos.untilOpen(node)
      await chaos.wait(100, 500)
      chaos.bank.fault('device without room')
      await backing.fill()
      await chaos.wait(200, 1_500)
      if (chaos.random.chance(0.5)) await resume(chaos, { node, backing, disk })
      else await succeed(chaos, { node, backing, disk })
      disk.remount()
      await chaos.turn(disk.dataDir)
    }
  },
}

interface Parts {
  readonly node: NodeProcess
  readonly backing: Backing
  readonly disk: Disk
}

/** The device is well again under the same process. */
async function resume(chaos: Chaos, { node, backing, disk }: Parts): Promise<void> {
  backing.empty()
  chaos.bank.fault('device is well again')
  const { recoverMs } = chaos.figures
  const before = recoverMs.length
  const isServed = await chaos.until(() => recoverMs.length > before || !disk.isWritable(), RESUME_MS_MAX)
  if (!isServed) chaos.violated(`writing did not resume by itself within ${RESUME_MS_MAX} ms`)
  if (!disk.isWritable()) chaos.figures.fault('the file system gave itself up')
  await chaos.wait(0, 300)
  await node.kill()
}

/** Another process takes over from what is in the system's memory alone. */
async function succeed(chaos: Chaos, { node, backing, disk }: Parts): Promise<void> {
  await node.kill()
  backing.empty()
  chaos.bank.fault('successor of a failed device')
  const successor = chaos.start(disk.dataDir)
  if (!disk.isWritable()) {
    chaos.figures.fault('the file system gave itself up')
    successor.expectEnd()
  }
  await successor.opened
  await chaos.wait(0, 300)
  await successor.kill()
}
