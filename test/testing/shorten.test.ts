import { expect, test } from 'vitest'
import { shorten } from '../../src/testing/shorten.ts'
import type { CommandStep, Step, Story } from '../../src/testing/story.ts'

const command = (payload: number): CommandStep => ({
  kind: 'command',
  aggregate: 1,
  name: 'add',
  payload,
  metadata: {},
  isConcurrent: true,
})

test('steps that have nothing to do with it are left out, and those that stay are made simpler', async () => {
  const steps: Step[] = [
    command(1),
    { kind: 'passivate' },
    { kind: 'die', at: 7, isAfter: true, losesPower: true },
    command(2),
    { kind: 'again', which: 3, isConcurrent: true },
  ]
  const story: Story = { snapshotEvery: 5, steps, seed: 1 }
  let tried = 0
  const fails = async ({ steps: left, snapshotEvery }: Story): Promise<string | undefined> => {
    tried += 1
    const isSo =
      left.some((step) => step.kind === 'die' && step.at >= 3) && left.some((step) => step.kind === 'command')
    return isSo && snapshotEvery !== false ? `failure ${tried}` : undefined
  }
  const shortest = await shorten(story, 'first', fails)
  expect(shortest.story).toEqual({
    snapshotEvery: 1,
    seed: 1,
    steps: [
      { ...command(1), aggregate: 0, isConcurrent: false },
      { kind: 'die', at: 3, isAfter: false, losesPower: false },
    ],
  })
  expect(shortest.failure).not.toBe('first')
})

test('a story that is as short as can be stays as it is', async () => {
  const story: Story = { snapshotEvery: false, steps: [{ kind: 'restart' }], seed: 1 }
  expect(await shorten(story, 'first', () => Promise.resolve(undefined))).toMatchObject({ story, shortened: 0 })
})

test('time passes once where it is enough, and no longer than it has to', async () => {
  const HOUR_MS = 3_600_000
  const steps: Step[] = [{ kind: 'pass', ms: 10 * HOUR_MS }, command(1), { kind: 'pass', ms: 95 * 60_000 }]
  const fails = async ({ steps: left }: Story): Promise<string | undefined> => {
    const passed = left.reduce((sum, step) => (step.kind === 'pass' ? sum + step.ms : sum), 0)
    return passed >= 10.5 * HOUR_MS ? 'failure' : undefined
  }
  const { story } = await shorten({ snapshotEvery: false, steps, seed: 1 }, 'first', fails)
  expect(story.steps).toEqual([{ kind: 'pass', ms: 11 * HOUR_MS }])
})

test('steps that only together have nothing to do with it are left out', async () => {
  const sumOf = (steps: readonly Step[]): number =>
    steps.reduce((sum, step) => (step.kind === 'command' ? sum + (step.payload as number) : sum), 0)
  const fails = async ({ steps }: Story): Promise<string | undefined> => (sumOf(steps) === 5 ? 'failure' : undefined)
  const told = async (...payloads: number[]): Promise<unknown> => {
    const { story } = await shorten({ snapshotEvery: false, steps: payloads.map(command), seed: 1 }, 'first', fails)
    return story.steps.map((step) => (step as CommandStep).payload)
  }
  expect(await told(1, 4, -1, 1)).toEqual([1, 4])
  expect(await told(3, 2, 1, -3, 2)).toEqual([3, 2])
})
