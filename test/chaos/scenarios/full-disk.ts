/**
 * The disk is filled under load and emptied again. While it is full, what needs room fails with `StorageFull` and with
 * nothing done, and reads go on; then writing resumes in the same process and on the same workers. Now and then the
 * process is started anew meanwhile.
 */
import type { Chaos } from '../chaos.ts'
import { Disk } from '../disk.ts'
import type { NodeProcess } from '../node.ts'
import type { Scenario } from '../scenario.ts'

const DISK_BYTES = 256 * 1024 * 1024
const WAIT_MS_MAX = 60_000

export const fullDisk: Scenario = {
  name: 'full-disk',
  about: 'a small file system is filled under load and emptied again',
  requirements: ['mounts'],
  cycles: 50,
  async run(chaos) {
    const disk = new Disk(chaos.folder, { bytes: DISK_BYTES }, chaos.cleanup)
    void chaos.bank.begin()
    let node = chaos.start(disk.dataDir)
    while (chaos.figures.cycles < chaos.cycles) {
      await chaos.untilOpen(node)
      await chaos.wait(50, 400)
      await disk.fill()
      await seeItFull(chaos)
      if (chaos.random.chance(0.2)) {
        await restartWhileFull(chaos, node, disk)
        node = chaos.start(disk.dataDir)
      } else {
        disk.empty()
        chaos.bank.fault('full disk')
      }
      await seeItResume(chaos, node)
      const isEnded = await chaos.turn(disk.dataDir)
      if (isEnded && chaos.figures.cycles < chaos.cycles) node = chaos.start(disk.dataDir)
    }
  },
}

async function seeItFull(chaos: Chaos): Promise<void> {
  const { failures } = chaos.figures
  const before = failures['StorageFull'] ?? 0
  const isFull = await chaos.until(() => (failures['StorageFull'] ?? 0) > before, WAIT_MS_MAX)
  if (!isFull) chaos.violated(`nobody was told of the full disk within ${WAIT_MS_MAX} ms`)
  const readsBefore = chaos.figures.reads
  const isRead = await chaos.until(() => chaos.figures.reads > readsBefore + 10, WAIT_MS_MAX)
  if (!isRead) chaos.violated(`reads did not go on within ${WAIT_MS_MAX} ms while the disk was full`)
}

async function restartWhileFull(chaos: Chaos, node: NodeProcess, disk: Disk): Promise<void> {
  if (chaos.random.chance(0.5)) await node.close()
  else await node.kill()
  const refused = chaos.start(disk.dataDir)
  refused.expectEnd()
  const ms = await refused.opened
  // There may have been room for it after all, in what the former one gave back.
  if (ms === undefined && !refused.refusal?.includes('is full')) {
    chaos.violated(`a node that started on a full disk said: ${refused.refusal}`)
  }
  await refused.kill()
  disk.empty()
  chaos.bank.fault('full disk, and a restart')
}

async function seeItResume(chaos: Chaos, node: NodeProcess): Promise<void> {
  const { recoverMs } = chaos.figures
  const before = recoverMs.length
  const isServed = await chaos.until(() => recoverMs.length > before, WAIT_MS_MAX)
  if (!isServed) chaos.violated(`writing did not resume by itself within ${WAIT_MS_MAX} ms`)
  const status = await node.status()
  if (status?.workerRestarts !== 0)
    chaos.violated(`${status?.workerRestarts} workers were replaced because of a full disk`)
}
