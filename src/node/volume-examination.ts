/**
 * Whether a volume keeps what the log needs of it: a name is created once, and what one process has created or written
 * the next one sees, also where it has just seen that it was not there. Tried out with a second process.
 */
import { readWhole, type Storage } from '../log/storage.ts'

/** The same volume, as another process sees it. */
export interface VolumePeer {
  exists(path: string): Promise<boolean>
  createExclusive(path: string, content: Uint8Array): Promise<boolean>
  /** Empty where there is none. */
  read(path: string): Promise<Uint8Array>
}

export interface VolumeExamination {
  readonly rounds: number
  /** Names that both processes created, or none. */
  readonly notOnce: number
  /** Times that one did not see what the other had done. */
  readonly unseen: number
  /** Of a write of 4 kB with its sync, ascending. */
  readonly syncsMs: readonly number[]
}

export interface ExaminationOptions {
  readonly storage: Storage
  readonly peer: VolumePeer
  /** A folder of the storage's that is empty. */
  readonly folder: string
  readonly rounds: number
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

const BLOCK_BYTES = 4096
const [OURS, THEIRS] = [Uint8Array.of(1), Uint8Array.of(2)]

export async function examineVolume(options: ExaminationOptions): Promise<VolumeExamination> {
  const { storage, peer, folder, rounds } = options
  let [notOnce, unseen] = [0, 0]
  for (let round = 0; round < rounds; round += 1) {
    const path = `${folder}/claim-${round}`
    // From here on whoever keeps answers for a while believes that there is no such file.
    await peer.exists(path)
    storage.exists(path)
    const [ours, theirs] = await Promise.all([storage.createExclusive(path, OURS), peer.createExclusive(path, THEIRS)])
    if (ours === theirs) notOnce += 1
    const winner = ours ? OURS : THEIRS
    const isSeen = storage.exists(path) && (await peer.exists(path))
    const seen = [await readWhole(storage, path), await peer.read(path)]
    if (!isSeen || seen.some((content) => content?.[0] !== winner[0])) unseen += 1
  }
  const { syncsMs, unseen: behind } = await examineLog(options)
  return { rounds, notOnce, unseen: unseen + behind, syncsMs }
}

/** A log that grows here, and what the peer sees of it. */
async function examineLog(options: ExaminationOptions): Promise<Pick<VolumeExamination, 'unseen' | 'syncsMs'>> {
  const { storage, peer, folder, rounds, monotonic } = options
  const path = `${folder}/log`
  const log = await storage.createLog(path)
  const syncsMs: number[] = []
  let unseen = 0
  try {
    for (let round = 0; round < rounds; round += 1) {
      const beganMs = monotonic()
      await log.write(round * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(round + 1))
      await log.sync()
      syncsMs.push(monotonic() - beganMs)
      const seen = await peer.read(path)
      if (seen.length !== (round + 1) * BLOCK_BYTES || seen.at(-1) !== ((round + 1) & 0xff)) unseen += 1
    }
  } finally {
    await log.close()
  }
  return { unseen, syncsMs: syncsMs.toSorted((a, b) => a - b) }
}
