import { expect, test } from 'vitest'
import { defineAggregate, defineCluster, defineInbox } from '../../src/index.ts'
import { addressOf, checkedCommand } from '../../src/react/inbox.ts'
import { Account } from '../account.ts'

const Stranger = defineAggregate({ type: 'stranger', initialState: () => 0, events: {}, commands: {} })

const inbox = defineInbox({
  name: 'payments',
  startAt: 'beginning',
  source: {
    name: 'nowhere',
    open: () => {
      throw new Error('it is not opened')
    },
  },
  to: [Account],
  map: () => undefined,
})

const command = { aggregate: Account, id: 'anna', command: 'deposit', payload: { amount: 1 } }

const checked = (mapped: unknown): unknown => {
  addressOf(inbox, mapped)
  return checkedCommand(mapped as object)
}

test('a command to one of its aggregates is taken as it is', () => {
  const named = { ...command, commandId: '01890a5d-ac96-774b-bcce-b302099a8057', correlationId: 'x' }
  expect(addressOf(inbox, named)).toBe('account/anna')
  expect(checked(named)).toBe(named)
})

const wrong: readonly [what: string, map: () => unknown, message: string][] = [
  ['a promise', () => Promise.reject(new Error('late')), 'returned a promise'],
  ['a text', () => 'x', 'neither a command nor undefined'],
  ['null', () => null, 'neither a command nor undefined'],
  [
    'a misspelt part',
    () => ({ ...command, comandId: 'x' }),
    "gave 'comandId', which a command does not have; it has aggregate, id",
  ],
  ['the type for the aggregate', () => ({ ...command, aggregate: 'account' }), "gave 'account' for the aggregate"],
  [
    'an aggregate of nobody',
    () => ({ ...command, aggregate: Stranger }),
    "gave the aggregate 'stranger', which is none of 'to'",
  ],
  ['a number for the id', () => ({ ...command, id: 1 }), "an aggregate's id is a string, not number"],
  ['half a character for the id', () => ({ ...command, id: '\ud800' }), "an aggregate's id has a lone surrogate"],
  ['a misspelt command', () => ({ ...command, command: 'depost' }), "gave 'depost' for the command, and account has"],
  [
    'a text for the command’s id',
    () => ({ ...command, commandId: 'p-1' }),
    "gave 'p-1' for the commandId, which is no UUID",
  ],
  ['a number for the command’s id', () => ({ ...command, commandId: 7 }), 'gave 7 for the commandId'],
  ['null for the command’s id', () => ({ ...command, commandId: null }), 'gave null for the commandId'],
  [
    'a number for the correlation',
    () => ({ ...command, correlationId: 7 }),
    'gave 7 for the correlationId; give a text',
  ],
  ['nothing for the correlation', () => ({ ...command, correlationId: '' }), "gave '' for the correlationId"],
  ['half a character for it', () => ({ ...command, correlationId: '\ud800' }), 'for the correlationId; give a text'],
  [
    'a whole message for the correlation',
    () => ({ ...command, correlationId: 'x'.repeat(513) }),
    'a correlationId of 513 characters, and 512 are the limit',
  ],
  ['what every object has', () => ({ ...command, command: 'toString' }), "gave 'toString' for the command"],
]

test.for(wrong)('%s from a mapper is refused, and the reason says what it was', ([, map, message]) => {
  expect(() => checked(map())).toThrow(message)
})

test('an inbox for an aggregate that the cluster does not have is refused', () => {
  const cluster = { name: 'bank', dataDir: 'x', inboxes: [inbox] }
  expect(() => defineCluster({ ...cluster, aggregates: [Account] })).not.toThrow()
  expect(() => defineCluster({ ...cluster, aggregates: [Stranger] })).toThrow(
    "the inbox 'payments' names the aggregate 'account'",
  )
})
