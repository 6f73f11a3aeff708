/** Rules of inboxes, each broken on purpose. */
import { NodeEffects } from '../../../src/node/effects.ts'
import { INBOX } from '../../../src/react/inbox-record.ts'
import { replace, type Mutant } from '../mutants.ts'
import { LATE_SENDERS, REACTOR_MUTANTS } from '../reactors/mutants.ts'

const OF_EFFECTS = new Set(['ids-not-derived', 'looked-for-in-the-window-alone'])

/** The node sends in another way. */
function sending(change: (ask: NodeEffects['ask']) => NodeEffects['ask']): () => () => void {
  return () =>
    replace(
      NodeEffects.prototype,
      'ask',
      (original) =>
        async function (this: NodeEffects, command) {
          return await change((sent) => original.call(this, sent))(command)
        },
    )
}

export const INBOX_MUTANTS: readonly Mutant[] = [
  LATE_SENDERS,
  ...REACTOR_MUTANTS.filter(({ name }) => OF_EFFECTS.has(name)),
  {
    name: 'acknowledged-before-effect',
    breaks: 'a message is done with as soon as its command is sent',
    install: sending((ask) => async (command) => {
      if (command.stream.startsWith('$')) return await ask(command)
      ask(command).catch(() => undefined)
      return { kind: 'accepted', version: 0, position: 0 }
    }),
  },
  {
    name: 'waiting-not-parked',
    breaks: 'what comes behind a parked message of its aggregate is not put aside',
    install: sending((ask) => async (command) => {
      const { message } = (command.payload ?? {}) as { readonly message?: { readonly reason: string } }
      const isWaiting = command.stream.startsWith(INBOX) && command.name === 'park' && message?.reason === ''
      return isWaiting ? { kind: 'accepted', version: 0, position: 0 } : await ask(command)
    }),
  },
]
