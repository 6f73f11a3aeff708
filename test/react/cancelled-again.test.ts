import { expect, onTestFinished, test } from 'vitest'
import { defineAggregate, defineCluster, defineReactor } from '../../src/index.ts'
import { startVirtualNode } from '../../src/testing/index.ts'

const MINUTE = 60_000

test('what was to be cancelled before it was set again stays set, though all is handled again', async () => {
  let isMended = false
  const Incident = defineAggregate({
    type: 'incident',
    initialState: () => 0,
    events: { Opened: (n) => n, Closed: (n) => n, Stuck: (n) => n, Escalated: (n) => n + 1 },
    commands: {
      open: (_n, _none: undefined, { emit }) => emit.Opened(undefined),
      close: (_n, _none: undefined, { emit }) => emit.Closed(undefined),
      stick: (_n, _none: undefined, { emit }) => emit.Stuck(undefined),
      escalate: (_n, _none: undefined, { emit }) => emit.Escalated(undefined),
    },
    queries: { escalations: (n) => n },
  })
  const Escalation = defineReactor({
    name: 'escalation',
    from: [Incident],
    startAt: 'beginning',
    retries: 1_000,
    on: {
      Stuck: () => {
        if (!isMended) throw new Error('it cannot be handled yet')
      },
      Opened: ({ stream }, { schedule }) => {
        const id = stream.slice('incident/'.length)
        return schedule(id, { inMs: 10 * MINUTE }, Incident, id, 'escalate')
      },
      Closed: ({ stream }, { cancel }) => cancel(stream.slice('incident/'.length)),
    },
  })
  const config = defineCluster({
    name: 'c',
    aggregates: [Incident],
    reactors: [Escalation],
    shards: 1,
    dataDir: 'data',
  })
  const node = await startVirtualNode(config)
  onTestFinished(() => node.close())
  // The place stays before this one.
  await node.ref(Incident, 'other').ask('stick')
  const incident = node.ref(Incident, '1')
  // Nothing is to be cancelled.
  await incident.ask('close')
  await node.pass(MINUTE)
  await incident.ask('open')
  await node.pass(MINUTE)
  isMended = true
  await node.restart()
  await node.pass(20 * MINUTE)
  expect(await node.ref(Incident, '1').query('escalations')).toBe(1)
})
