import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, startNode, type Aggregate, type Ref } from '../../src/index.ts'
import { temporaryFolder } from '../temporary.ts'

// A rejection that nobody takes ends the test run, so that each of these shows that it was taken, too.
const promise = (() => Promise.reject(new Error('nobody waits for this'))) as unknown as () => never
const thenable = (() => ({
  // oxlint-disable-next-line unicorn/no-thenable -- this is what is tested
  then: (_: unknown, reject: (error: Error) => void) => reject(new Error('x')),
})) as () => never

const definition = {
  type: 'promising',
  initialState: () => ({ n: 0 }),
  events: { Added: (state: { n: number }, _data: { by: number }) => ({ n: state.n + 1 }) },
  commands: { add: () => ({ type: 'Added', data: { by: 1 } }) as const, wait: () => undefined },
  queries: { n: ({ n }: { n: number }) => n },
}
const Promising = defineAggregate(definition)

async function withNode(
  dataDir: string,
  given: object,
  work: (ref: Ref<typeof Promising>) => Promise<void>,
): Promise<void> {
  const aggregate = defineAggregate({ ...definition, ...given })
  const config = defineCluster({
    name: 'p',
    aggregates: [aggregate as Aggregate],
    dataDir,
    shards: 1,
    workers: 'inline',
  })
  await using node = await startNode(config)
  await work(node.ref(aggregate, '1'))
}
const failure = {
  code: 'HandlerFailed',
  outcome: 'none',
  message: expect.stringContaining('returned a promise') as string,
}

test.each([
  ['promise', promise],
  ['thenable', thenable],
])('a command, query, evolve function or initialState that returns a %s fails, and says so', async (_, handler) => {
  const dataDir = temporaryFolder()
  await withNode(dataDir, { queries: { n: handler } }, async (ref) => {
    await expect(ref.query('n')).rejects.toMatchObject(failure)
  })
  await withNode(dataDir, { commands: { ...definition.commands, wait: handler } }, async (ref) => {
    await expect(ref.ask('wait')).rejects.toMatchObject(failure)
  })
  await withNode(dataDir, { events: { Added: handler } }, async (ref) => {
    await expect(ref.ask('add')).rejects.toMatchObject(failure)
  })
  await withNode(dataDir, { initialState: handler }, async (ref) => {
    await expect(ref.query('n')).rejects.toMatchObject(failure)
  })
  await withNode(dataDir, {}, async (ref) => expect((await ref.ask('add')).version).toBe(1))
  await withNode(dataDir, { upcasters: { Added: [handler] } }, async (ref) => {
    await expect(ref.query('n')).rejects.toMatchObject(failure)
  })
})
