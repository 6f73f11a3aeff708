/** A node in another process, of the cluster that cluster.config.ts describes. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Overrides } from '../../src/index.ts'
import type { Job, Told } from './cluster-process.ts'

/** It does what it is told, until it is killed. */
export interface There {
  ask(job: Job): Promise<unknown>
  kill(): Promise<void>
}

export async function startThere({ overrides }: { readonly overrides: Overrides }): Promise<There> {
  const child = fork(fileURLToPath(new URL('cluster-process.ts', import.meta.url)), {
    execArgv: [],
    serialization: 'advanced',
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = (): Promise<void> => (child.kill('SIGKILL'), ended)
  onTestFinished(kill)
  const waiting = new Map<number, (told: Told) => void>()
  child.on('message', ({ number, told }: { number: number; told: Told }) => waiting.get(number)?.(told))
  let count = 0
  const ask = async (job: Job): Promise<unknown> => {
    const number = (count += 1)
    const told = await new Promise<Told>((resolve) => {
      waiting.set(number, resolve)
      child.send({ number, job })
    })
    if (told.kind === 'failed') throw Object.assign(new Error(told.error.code), told.error)
    return told.value
  }
  await ask({ kind: 'start', overrides: { ...overrides, nodeName: 'there' } })
  return { ask, kill }
}
