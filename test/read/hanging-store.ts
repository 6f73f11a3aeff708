/** A projection over a real store whose handler hangs, and then changes the model after all. */
import { expect, vi } from 'vitest'
import { systemClock } from '../../src/platform/system.ts'
import { defineProjection } from '../../src/read/projection.ts'
import { RunningProjection } from '../../src/read/running-projection.ts'
import { EventRow } from './event-row.ts'
import type { NumberStore } from './number-stores.ts'

/** That it halts, is paused and resumed, and in the end has counted each event once. */
export async function testHangingHandler<Model>({ store, set, get }: NumberStore<Model>): Promise<void> {
  const row = new EventRow()
  const hung: (() => void)[] = []
  const late: Promise<unknown>[] = []
  let hangs = true
  const projection = defineProjection({
    name: 'hangs',
    from: 'all',
    store,
    retries: 0,
    handlerTimeoutMs: 3_000,
    on: {
      Done: ({ version }, model: Model) => {
        if (!hangs || version === 1) return set(model, `n${version}`, version)
        const done = new Promise<void>((resolve) => hung.push(resolve)).then(() => set(model, 'late', version))
        late.push(done.then(() => 'done').catch(() => 'refused'))
        return done
      },
    },
  })
  const ports = { feeds: row.feeds(), clock: systemClock, onWarning: () => undefined }
  const running = await RunningProjection.open({ projection, ...ports })
  row.add('Done', 'a/1')
  row.add('Done', 'a/1')
  await running.run(['all'])
  await vi.waitFor(() => expect(running.condition.state).toBe('halted'), 60_000)
  expect((await running.status()).trouble).toContain('its handler has not ended within 3000 ms')
  for (const letGo of hung) letGo()
  expect(new Set(await Promise.all(late))).toEqual(new Set(['refused']))
  hangs = false
  await running.pause()
  await running.resume()
  const [last] = [row.add('Done', 'a/1')]
  const values = (model: Model) => Promise.all(['n1', 'n2', 'n3', 'late'].map(async (name) => await get(model, name)))
  expect(await running.query(values, { after: last.position })).toEqual([1, 2, 3, undefined])
  hangs = true
  const before = hung.length
  row.add('Done', 'a/1')
  await vi.waitFor(() => expect(hung.length).toBeGreaterThan(before), 60_000)
  await running.close(200)
}

/** A rebuild of it that hangs is aborted at once. Resolves while it hangs; what is returned closes it. */
export async function abortHangingRebuild<Model>({ store }: NumberStore<Model>): Promise<() => Promise<void>> {
  const row = new EventRow()
  const hung: (() => void)[] = []
  const projection = defineProjection({
    name: 'hangs',
    from: 'all',
    store,
    handlerTimeoutMs: 60_000,
    on: { Done: () => new Promise<void>((resolve) => hung.push(resolve)) },
  })
  const ports = { feeds: row.feeds(), clock: systemClock, onWarning: () => undefined }
  const running = await RunningProjection.open({ projection, ...ports })
  row.add('Done', 'a/1')
  await running.run(['all'])
  await running.rebuild()
  await vi.waitFor(() => expect(hung).toHaveLength(2), 60_000)
  await running.abortRebuild()
  expect(await running.status()).toMatchObject({ rebuild: undefined, unfinished: undefined })
  return () => running.close(200)
}
