import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import type { ReadModel } from '../../src/read/read-model.ts'
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
    const { position, numbers, parked } = await look(model, get)
    expect(position).toBeGreaterThan(before)
    expect([numbers, parked]).toEqual([[position, position], [position]])
    before = position
    await model.close()
  }
}

/** What is there while its place stays the same: a server may still be at the commit that the process sent last. */
async function look<Model>(model: ReadModel<Model>, get: NumberStore<Model>['get']) {
  for (;;) {
    const position = await placeOf(model)
    const numbers = [
      await model.query(1, (asked) => get(asked, 'n0')),
      await model.query(1, (asked) => get(asked, 'n49')),
    ]
    const parked = (await model.parked(1, { limit: 10 })).map(({ version }) => version)
    if ((await placeOf(model)) === position) return { position, numbers, parked }
  }
}

async function placeOf<Model>(model: ReadModel<Model>): Promise<number> {
  return (await model.places(1)).get('all')!.position
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
