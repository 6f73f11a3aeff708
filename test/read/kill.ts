import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { withNumbersAt, type NumberStore } from './number-stores.ts'

const ROUNDS = 5

/** Kills processes that commit, at any moment; after each, model, place and what is parked say the same. */
export function expectWholeAfterKills(where: string): Promise<void> {
  return withNumbersAt(where, (numbers) => killAndLook(where, numbers))
}

async function killAndLook<Model>(where: string, { store, get }: NumberStore<Model>): Promise<void> {
  let before = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    await runAndKill(where)
    const model = await store.open('killed')
    const position = (await model.places(1)).get('all')!.position
    expect(position).toBeGreaterThan(before)
    for (const name of ['n0', 'n49']) expect(await model.query(1, (asked) => get(asked, name))).toBe(position)
    const parked = await model.parked(1, { limit: 10 })
    expect(parked.map(({ version }) => version)).toEqual([position])
    before = position
    await model.close()
  }
}

async function runAndKill(where: string): Promise<void> {
  const script = new URL('./commit-loop.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, where], { stdio: ['ignore', 'pipe', 'inherit'] })
  let commits = 0
  const enough = 20 + Math.floor(Math.random() * 30)
  for await (const dots of child.stdout) {
    commits += String(dots).length
    if (commits > enough) child.kill('SIGKILL')
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
