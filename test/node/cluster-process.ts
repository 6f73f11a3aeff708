/** A node in a process of its own, which does what the test says and tells what came of it. */
import { PenholdError, Rejected, startNode, type Node, type Overrides } from '../../src/index.ts'
import { Account } from '../account.ts'
import { Notebook } from './cluster.config.ts'

export type Job =
  | { readonly kind: 'start'; readonly overrides: Overrides }
  | { readonly kind: 'deposit'; readonly id: string; readonly commandId?: string }
  | { readonly kind: 'withdraw'; readonly id: string }
  | { readonly kind: 'balance'; readonly id: string }
  | { readonly kind: 'state'; readonly id: string; readonly atVersion: number }
  | { readonly kind: 'note'; readonly id: string; readonly what: unknown }
  | { readonly kind: 'last'; readonly id: string }
  | { readonly kind: 'close' }

export type Told =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: { readonly code: string; readonly details: unknown } }

let node: Node | undefined

async function run(job: Job): Promise<unknown> {
  if (job.kind === 'start') {
    node = await startNode(new URL('cluster.config.ts', import.meta.url), job.overrides)
    return undefined
  }
  if (job.kind === 'close') return node!.close()
  const [account, notebook] = [node!.ref(Account, job.id), node!.ref(Notebook, job.id)]
  switch (job.kind) {
    case 'deposit': {
      const options = job.commandId === undefined ? {} : { commandId: job.commandId }
      return (await account.ask('deposit', { amount: 1 }, options)).version
    }
    case 'withdraw':
      return (await account.ask('withdraw', { amount: 1_000 })).version
    case 'balance':
      return account.query('balance')
    case 'state':
      return account.state({ atVersion: job.atVersion })
    case 'note':
      return (await notebook.ask('note', { what: job.what })).events[0]?.data
    case 'last':
      return notebook.query('last')
  }
}

process.on('message', ({ number, job }: { readonly number: number; readonly job: Job }) => {
  const tell = (told: Told): void => void process.send?.({ number, told })
  run(job).then(
    (value) => tell({ kind: 'done', value }),
    (error: unknown) => {
      const isKnown = error instanceof PenholdError || error instanceof Rejected
      const { code, details } = isKnown ? error : { code: String(error), details: undefined }
      tell({ kind: 'failed', error: { code, details } })
    },
  )
})
process.on('disconnect', () => process.exit())
