import { expect, test } from 'vitest'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import {
  askedInWords,
  commandInWords,
  DUE,
  evolveInWords,
  FIRE,
  KNOWN,
  OUTCOME,
  queryInWords,
  saidInWords,
  streamInWords,
  TELL,
  timerInWords,
} from '../../src/aggregate/own-names.ts'
import { APPEND, FIND, INFO, READ } from '../../src/actor/append.ts'
import { unknownCommand } from '../../src/actor/error.ts'
import { runsOtherCode } from '../../src/cluster/error.ts'
import { INTERNAL_AGGREGATES } from '../../src/react/consumer-record.ts'

test('what users have named is told by its name', () => {
  const said = { stream: 'payment/1', name: 'take', payload: { type: 'x' } }
  expect(commandInWords(said)).toBe("the command 'take' of payment/1")
  expect(queryInWords(said)).toBe("the query 'take' of payment/1")
  expect(saidInWords(said)).toBe("'take' on payment/1")
  expect(askedInWords('take')).toBe("'take'")
  expect(evolveInWords({ type: 'Taken', data: undefined })).toBe("'Taken'")
  expect(streamInWords('payment/$1~2')).toBe('payment/$1~2')
  expect(timerInWords('checkout/1', 'due')).toBe("the timer 'due' of checkout/1")
})

test('what a process is told is told by what it knows', () => {
  const stream = 'checkout/1'
  expect(commandInWords({ stream, name: TELL, payload: { type: 'OrderPlaced' } })).toBe(
    "telling checkout/1 of 'OrderPlaced'",
  )
  expect(commandInWords({ stream, name: OUTCOME, payload: { name: 'take', stream: 'payment/1' } })).toBe(
    "telling checkout/1 what became of 'take'",
  )
  expect(commandInWords({ stream, name: FIRE, payload: { id: 'due' } })).toBe("the timer 'due' of checkout/1")
  expect(evolveInWords({ type: '$told', data: { type: 'OrderPlaced' } })).toBe("'OrderPlaced'")
  expect(evolveInWords({ type: '$timerFired', data: { id: 'due' } })).toBe("'due'")
  expect(evolveInWords({ type: '$outcome', data: { name: 'take' } })).toBe("'take'")
})

test('no name of ours is told, whatever it is said with', () => {
  for (const name of [TELL, OUTCOME, FIRE, DUE, KNOWN, APPEND, READ, FIND, INFO]) {
    for (const payload of [undefined, null, 1, 'text', {}, { type: 1, name: null, id: [] }]) {
      const said = { stream: 'checkout/1', name, payload }
      for (const words of [commandInWords(said), queryInWords(said), saidInWords(said)]) {
        expect(words).not.toContain('$')
        expect(words).toContain('checkout/1')
        expect(words).not.toContain('  ')
      }
    }
    expect(askedInWords(name)).not.toContain('$')
    const stream = '$consumer/process:checkout.sent~3'
    const { message } = runsOtherCode({ node: 'first', stream }, { kind: 'command', name }, 'it has no such command')
    expect(message).not.toContain('$')
    expect(message).toContain('does not know what to do with')
  }
  for (const { type } of INTERNAL_AGGREGATES) {
    const stream = `${type}/process:checkout.sent~3`
    expect(streamInWords(stream)).not.toContain('$')
    expect(commandInWords({ stream, name: 'step' })).not.toContain('$')
  }
  expect(streamInWords('$consumer/process:checkout.sent~3')).toBe('the record of process:checkout.sent')
  expect(timerInWords('$timer/mails:a:b', 'a:b')).toBe("the timer 'a:b' of the reactor 'mails'")
  expect(timerInWords('$schedule/nightly', 'next')).toBe("the schedule 'nightly'")
})

test('of what an aggregate takes, what is ours is not listed', () => {
  const base = defineAggregate({ type: 'x', initialState: () => 0, events: {}, commands: { a: () => undefined } })
  const process = { ...base, commands: { ...base.commands, [TELL]: () => undefined } }
  expect(unknownCommand(process, 'command', 'b').message).toBe("x has no command 'b'; it has a")
})
