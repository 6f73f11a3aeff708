/** What an examination of Redis and of a volume means. Pure. */
import type { VolumeExamination } from '../node/volume-examination.ts'
import type { FileSystem } from '../platform/file-system.ts'
import type { RedisExamination } from '../platform/redis-examination.ts'

/** `refused`: a cluster must not run on it. `warning`: it may, and what it costs is said. */
export interface Check {
  readonly about: 'redis' | 'clock' | 'volume'
  readonly verdict: 'good' | 'warning' | 'refused'
  readonly text: string
}

const REDIS_MAJOR_MIN = 7
const CLOCK_MS = 1_000
const SLOW_SYNC_MS = 20
/** Of these each client keeps answers for a while, so that a claim may be made twice without anybody seeing. */
const CACHING = /^(nfs4?|cifs|smb3|smbfs)$/
const WITHOUT_CACHE = ['lookupcache=none', 'noac']
const VOLATILE = ['tmpfs', 'ramfs']

export function judgeRedis(redis: RedisExamination): readonly Check[] {
  const { product, version, maxmemoryPolicy, maxmemoryBytes, clockAheadMs, roundTripMs } = redis
  const isOld = !(Number.parseInt(version, 10) >= REDIS_MAJOR_MIN)
  const isEvicting = maxmemoryBytes > 0 && maxmemoryPolicy !== 'noeviction'
  const isOff = Math.abs(clockAheadMs) > CLOCK_MS
  const policy = `maxmemory-policy is ${maxmemoryPolicy}, ${maxmemoryBytes === 0 ? 'without a limit' : `with ${maxmemoryBytes} bytes`}`
  return [
    {
      about: 'redis',
      verdict: isOld ? 'refused' : 'good',
      text: `${product} with the commands of Redis ${version}, answers in ${roundTripMs.toFixed(1)} ms${isOld ? `; use ${REDIS_MAJOR_MIN}.0 or newer` : ''}`,
    },
    {
      about: 'redis',
      verdict: isEvicting ? 'warning' : 'good',
      text: isEvicting
        ? `${policy}: what it evicts is forgotten, and nothing moves for a lease's time; set noeviction`
        : policy,
    },
    {
      about: 'clock',
      verdict: isOff ? 'warning' : 'good',
      text: `the clock of Redis is ${Math.abs(clockAheadMs)} ms ${clockAheadMs < 0 ? 'behind' : 'ahead of'} this machine's${isOff ? '; events would have wrong times, set the clocks' : ''}`,
    },
  ]
}

export function judgeVolume(system: FileSystem, examination: VolumeExamination, isShared: boolean): readonly Check[] {
  const { rounds, notOnce, unseen, syncsMs } = examination
  const p50 = syncsMs[Math.floor(syncsMs.length / 2)] ?? 0
  const syncs = `a write of 4 kB with its sync takes ${p50.toFixed(2)} ms (p50), ${(syncsMs.at(-1) ?? 0).toFixed(2)} ms (max)`
  return [
    judgeSystem(system, isShared),
    notOnce === 0
      ? {
          about: 'volume',
          verdict: 'good',
          text: `of two processes one creates a name, in ${rounds} of ${rounds} tries`,
        }
      : {
          about: 'volume',
          verdict: 'refused',
          text: `of two processes not exactly one created a name, ${notOnce} times in ${rounds}: two owners could claim the same shard`,
        },
    unseen === 0
      ? {
          about: 'volume',
          verdict: 'good',
          text: 'another process of this machine sees at once what was created and written',
        }
      : {
          about: 'volume',
          verdict: 'refused',
          text: `another process did not see what was created or written, ${unseen} times: an owner would not notice that it is none any more`,
        },
    {
      about: 'volume',
      verdict: p50 > SLOW_SYNC_MS ? 'warning' : 'good',
      text: p50 > SLOW_SYNC_MS ? `${syncs}: every command waits for one` : syncs,
    },
  ]
}

/** What cannot be tried out on one machine. */
function judgeSystem({ type, options }: FileSystem, isShared: boolean): Check {
  const about = 'volume'
  if (VOLATILE.includes(type)) {
    return { about, verdict: 'refused', text: `${type} is memory: what is acknowledged would be gone with the machine` }
  }
  const isCached = CACHING.test(type) && !WITHOUT_CACHE.every((option) => options.includes(option))
  if (isCached && isShared) {
    return {
      about,
      verdict: 'refused',
      text: `${type} keeps answers of the server for a while, so that one machine does not see what another has created${type.startsWith('nfs') ? `; mount it with ${WITHOUT_CACHE.join(',')}` : ''}`,
    }
  }
  if (type === 'unknown' || type.startsWith('fuse')) {
    return {
      about,
      verdict: 'warning',
      text: `nothing is known of the file system (${type}): whether one machine sees at once what another creates, its makers have to say`,
    }
  }
  return { about, verdict: 'good', text: `the file system is ${type}` }
}
