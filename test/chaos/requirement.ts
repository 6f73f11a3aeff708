/** What a scenario needs of the machine, and the word that says what is missing. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { Cleanup, makeFolder } from './cleanup.ts'
import { Disk } from './disk.ts'
import { Lan, type Place } from './lan.ts'
import { NAMESPACE_TOOLS } from './namespace.ts'

/** `mounts`: making, mounting and unmounting file systems; `tracing`: failing another process's system calls; `redis`: a server to start. */
export type Requirement = 'linux' | 'mounts' | 'tracing' | 'redis'

const TOOLS: Readonly<Record<Requirement, readonly string[]>> = {
  linux: [],
  mounts: ['mkfs.ext4', 'mount', 'umount', 'perl'],
  tracing: ['strace'],
  redis: ['redis-server'],
}

/** Undefined where everything is there. */
export function missing(requirements: readonly Requirement[]): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux'
  const tool = requirements.flatMap((requirement) => TOOLS[requirement]).find((name) => !isInstalled(name))
  if (tool !== undefined) return `it needs ${tool}`
  const needsRoot = requirements.includes('mounts') || requirements.includes('tracing')
  if (needsRoot && process.getuid?.() !== 0) return 'it needs root'
  if (requirements.includes('mounts')) return mountProblem()
  if (requirements.includes('tracing')) return traceProblem()
  return undefined
}

/** Why there can be no network of the test's own; undefined where there can. */
export function lanProblem(): string | undefined {
  const tool = NAMESPACE_TOOLS.find((name) => !isInstalled(name))
  if (tool !== undefined) return `they need ${tool}`
  if (process.getuid?.() !== 0) return 'they need root'
  const cleanup = new Cleanup()
  try {
    const lan = new Lan(2, cleanup)
    const [from, to] = lan.places as [Place, Place]
    lan.cut({ from, to })()
    return undefined
  } catch (error) {
    return `they need network namespaces (${error instanceof Error ? error.message.trim() : String(error)})`
  } finally {
    cleanup.run()
  }
}

function isInstalled(tool: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => fs.existsSync(join(folder, tool)))
}

/** Root in a container may not trace. */
function traceProblem(): string | undefined {
  const { pid } = spawn('sleep', ['0.3'])
  const { stderr } = spawnSync('strace', ['-o', '/dev/null', '-p', String(pid)], { encoding: 'utf8' })
  return stderr.includes('attached') ? undefined : `it needs to trace another process (${stderr.trim()})`
}

/** Nor mount. */
function mountProblem(): string | undefined {
  const cleanup = new Cleanup()
  try {
    new Disk(makeFolder(cleanup), { bytes: 64 * 1024 * 1024 }, cleanup).unmount()
    return undefined
  } catch (error) {
    return `it needs to mount a file system (${error instanceof Error ? error.message.trim() : String(error)})`
  } finally {
    cleanup.run()
  }
}
