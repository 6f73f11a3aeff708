import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { judgeRedis, judgeVolume } from '../../src/cli/findings.ts'
import { readWhole } from '../../src/log/storage.ts'
import { examineVolume, type VolumeExamination, type VolumePeer } from '../../src/node/volume-examination.ts'
import { blocking } from '../../src/platform/file-calls.ts'
import { FileStorage } from '../../src/platform/file-storage.ts'
import { findFileSystem } from '../../src/platform/file-system.ts'
import { temporaryFolder } from '../temporary.ts'

const ROUNDS = 5
const GOOD: VolumeExamination = { rounds: ROUNDS, notOnce: 0, unseen: 0, syncsMs: [1, 2, 3] }
const EXT4 = { type: 'ext4', options: ['rw'] }

async function examine(lies: (honest: VolumePeer) => Partial<VolumePeer>): Promise<VolumeExamination> {
  const root = temporaryFolder()
  const [storage, other] = [new FileStorage(root, blocking), new FileStorage(root, blocking)]
  await storage.createFolder('trial')
  const honest: VolumePeer = {
    exists: async (path) => other.exists(path),
    createExclusive: (path, content) => other.createExclusive(path, content),
    read: async (path) => (await readWhole(other, path)) ?? new Uint8Array(0),
  }
  let now = 0
  const peer = { ...honest, ...lies(honest) }
  return examineVolume({ storage, peer, folder: 'trial', rounds: ROUNDS, monotonic: () => (now += 1) })
}

function verdicts(examination: VolumeExamination, system = EXT4): readonly string[] {
  return judgeVolume(system, examination, true).map(({ verdict }) => verdict)
}

test('a volume that keeps its promise is good', async () => {
  const examination = await examine(() => ({}))
  expect(examination).toEqual({ rounds: ROUNDS, notOnce: 0, unseen: 0, syncsMs: Array(ROUNDS).fill(1) })
  expect(verdicts(examination)).toEqual(['good', 'good', 'good', 'good'])
})

test('one that gives a name twice is refused', async () => {
  const examination = await examine(() => ({ createExclusive: async () => true }))
  expect(examination.notOnce).toBeGreaterThan(0)
  expect(verdicts(examination)[1]).toBe('refused')
})

test('one that remembers that a file was not there is refused', async () => {
  const examination = await examine((honest) => {
    const known = new Map<string, Promise<boolean>>()
    const exists = async (path: string): Promise<boolean> => {
      if (!known.has(path)) known.set(path, honest.exists(path))
      return known.get(path)!
    }
    return { exists }
  })
  expect(examination).toMatchObject({ notOnce: 0, unseen: ROUNDS })
  expect(verdicts(examination)[2]).toBe('refused')
})

test('one that shows what a log was a while ago is refused', async () => {
  const examination = await examine((honest) => {
    let before = new Uint8Array(0)
    const read = async (path: string): Promise<Uint8Array> => {
      if (!path.endsWith('log')) return honest.read(path)
      const shown = before
      before = new Uint8Array(await honest.read(path))
      return shown
    }
    return { read }
  })
  expect(examination).toMatchObject({ notOnce: 0, unseen: ROUNDS })
})

test.each([
  ['ext4', 'rw', 'good'],
  ['tmpfs', 'rw', 'refused'],
  ['nfs4', 'rw,vers=4.2', 'refused'],
  ['nfs4', 'rw,lookupcache=none', 'refused'],
  ['nfs4', 'rw,lookupcache=none,noac', 'good'],
  ['cifs', 'rw,cache=strict', 'refused'],
  ['fuse.sshfs', 'rw', 'warning'],
  ['unknown', '', 'warning'],
])('a shared volume on %s (%s) is %s', (type, options, verdict) => {
  expect(verdicts(GOOD, { type, options: options.split(',') })[0]).toBe(verdict)
})

test('one process alone may have its volume on a file server', () => {
  expect(judgeVolume({ type: 'nfs4', options: ['rw'] }, GOOD, false)[0]!.verdict).toBe('good')
})

test('a folder is on what is mounted nearest above it', () => {
  const folder = temporaryFolder()
  const spaced = join(folder, 'a b')
  fs.mkdirSync(spaced)
  const mounts = `/dev/a / ext4 rw 0 0\nserver:/x ${folder} nfs4 rw,noac 0 0\n/dev/b ${folder}-not xfs rw 0 0\n/dev/c ${folder}/a\\040b xfs rw 0 0`
  expect(findFileSystem(folder, mounts)).toEqual({ type: 'nfs4', options: ['rw', 'noac'] })
  expect(findFileSystem(spaced, mounts).type).toBe('xfs')
  expect(findFileSystem('/', mounts).type).toBe('ext4')
  expect(findFileSystem(folder, '').type).toBe('unknown')
})

test('a Redis that is too old is refused; one that may evict, or whose clock is off, is warned of', () => {
  const good = {
    product: 'redis',
    version: '7.0.15',
    maxmemoryPolicy: 'noeviction',
    maxmemoryBytes: 0,
    clockAheadMs: -3,
    roundTripMs: 1,
  }
  const of = (change: Partial<typeof good>): readonly string[] =>
    judgeRedis({ ...good, ...change }).map(({ verdict }) => verdict)
  expect(of({})).toEqual(['good', 'good', 'good'])
  expect(of({ version: '6.2.14' })).toEqual(['refused', 'good', 'good'])
  expect(of({ version: 'unknown' })).toEqual(['refused', 'good', 'good'])
  expect(of({ maxmemoryPolicy: 'allkeys-lru', maxmemoryBytes: 1e6 })).toEqual(['good', 'warning', 'good'])
  expect(of({ maxmemoryPolicy: 'allkeys-lru' })).toEqual(['good', 'good', 'good'])
  expect(of({ clockAheadMs: -5000 })).toEqual(['good', 'good', 'warning'])
})
