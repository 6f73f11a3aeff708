import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, startNode } from '../../src/index.ts'
import { Account } from '../account.ts'
import { temporaryFolder } from '../temporary.ts'
import { startInlineNode } from './inline-node.ts'
import { Troublesome } from './troublesome.ts'

const says = (text: string): object => ({ message: expect.stringContaining(text) as string })

test('options that are none are refused; one that does not exist, with the nearest that does', async () => {
  const node = await startInlineNode()
  const account = node.ref(Account, '1')
  const misspelt = { commandID: 'x' } as object
  const refused = { code: 'BadPayload', ...says("no option 'commandID'; the nearest is 'commandId'") }
  await expect(account.ask('deposit', { amount: 1 }, misspelt)).rejects.toMatchObject(refused)
  expect(() => account.tell('deposit', { amount: 1 }, misspelt)).toThrow(expect.objectContaining(refused))
  const timeout = { code: 'BadPayload', ...says("no option 'timeout'; the nearest is 'timeoutMs'") }
  await expect(account.query('balance', undefined, { timeout: 1 } as object)).rejects.toMatchObject(timeout)
  await expect(account.state(undefined, { timeout: 1 } as object)).rejects.toMatchObject(timeout)
  const none = account.ask('deposit', { amount: 1 }, null as never)
  await expect(none).rejects.toMatchObject({ code: 'BadPayload', ...says('its options are no object') })
  const signal = account.ask('deposit', { amount: 1 }, { signal: {} as never })
  await expect(signal).rejects.toMatchObject({ code: 'BadPayload', ...says('its signal is no AbortSignal') })
})

test('a part of an aggregate that is misspelt, missing or no function is named', () => {
  const base = { type: 'x', initialState: () => 0, events: {}, commands: {} }
  const define = (definition: object) => () => defineAggregate(definition as never)
  expect(define({ ...base, querys: {} })).toThrow("x: an aggregate has no 'querys'; the nearest is 'queries'")
  expect(define({ ...base, initialState: undefined })).toThrow("x: an aggregate needs 'initialState'")
  expect(define({ ...base, initialState: 0 })).toThrow('x: initialState is 0; give a function')
  expect(define({ type: 'x', initialState: () => 0, events: {} })).toThrow("x: an aggregate needs 'commands'")
})

test('what is wrong is shown as it is', async () => {
  const cluster = { name: 'x', aggregates: [Account], dataDir: 'd' }
  expect(() => defineCluster({ ...cluster, workers: '2' as never })).toThrow("workers is '2'; give a whole number")
  // Seconds, taken for milliseconds: Redis could never answer in time, and would seem to be away.
  expect(() => defineCluster({ ...cluster, timeouts: { leaseMs: 10 } })).toThrow(
    'timeouts.leaseMs is 10; give a whole number from 300',
  )
  // Penhold's own facts have to fit as well.
  expect(() => defineCluster({ ...cluster, limits: { commandBytesMax: 16_383 } })).toThrow(
    'limits.commandBytesMax is 16383; give a whole number from 16384',
  )
  const file = join(temporaryFolder(), 'file')
  fs.writeFileSync(file, '')
  await expect(startInlineNode({ dataDir: file })).rejects.toMatchObject(says('(it is a file)'))
  const node = await startInlineNode({ limits: { eventsPerCommandMax: 10 } })
  const troublesome = node.ref(Troublesome, '1')
  await expect(troublesome.ask('addMany', { times: 11 })).rejects.toMatchObject({
    ...says('made 11 events, and 10 is the limit'),
    details: { events: 11, limit: 10 },
  })
  await expect(troublesome.query('notPlain')).rejects.toMatchObject(
    says('failed: Error: it returned what cannot be sent: value: a function. Nothing happened'),
  )
  await expect(troublesome.query('sentence')).rejects.toMatchObject(says('it ends in a stop. Nothing happened'))
  const endless: { x?: object } = {}
  endless.x = endless
  const asked = node.ref(Account, '1').ask('open', { owner: endless as never })
  await expect(asked).rejects.toMatchObject(
    says('(payload.owner.x.x.x … .x.x.x.x: nested deeper than 64, or it holds itself)'),
  )
})

test('one damaged journal is one warning, with the shards that were in it', async () => {
  const dataDir = temporaryFolder()
  const warnings: string[] = []
  const config = defineCluster({
    name: 'x',
    aggregates: [Account],
    dataDir,
    shards: 3,
    workers: 'inline',
    onWarning: (message) => warnings.push(message),
  })
  await (await startNode(config)).close()
  fs.rmSync(join(dataDir, 'journals'), { recursive: true })
  await (await startNode(config)).close()
  expect(warnings).toEqual([expect.stringMatching(/^shards 0, 1, 2 cannot be served: .*journals/)])
})
