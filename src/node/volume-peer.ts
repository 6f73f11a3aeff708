/** The second process of an examination of a volume: does what it is told, and answers. */
import { readWhole } from '../log/storage.ts'
import { blocking } from '../platform/file-calls.ts'
import { FileStorage } from '../platform/file-storage.ts'
import type { PeerAnswer, PeerRequest } from '../platform/peer-process.ts'

const storage = new FileStorage(process.argv[2]!, blocking)

async function answer({ does, path, content }: PeerRequest): Promise<PeerAnswer> {
  if (does === 'exists') return storage.exists(path)
  if (does === 'create') return storage.createExclusive(path, content)
  return (await readWhole(storage, path)) ?? new Uint8Array(0)
}

process.on('message', (request: PeerRequest) => {
  void answer(request).then((done) => process.send!(done))
})
