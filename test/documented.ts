/**
 * The programs in the pages, as files of a reader's. The pages' tests run them, and one compiler checks them all
 * (documented-types.test.ts).
 */
import fs from 'node:fs'
import { join } from 'node:path'

/** By name. They import Penhold by its name. */
export type Files = Readonly<Record<string, string>>

const root = join(import.meta.dirname, '..')

/** What pages take for granted that say: `account.ts` has a command `deposit` and an event `Deposited`. */
export const ACCOUNT = `import { defineAggregate } from 'penhold'
export const Account = defineAggregate({
  type: 'account',
  initialState: () => 0,
  events: { Deposited: (balance, { euros }: { euros: number }) => balance + euros },
  commands: { deposit: (_balance, order: { euros: number }, { emit }) => emit.Deposited(order) },
  queries: { balance: (balance) => balance },
})
`

export function readPage(page: string): string {
  return fs.readFileSync(join(root, page), 'utf8')
}

/** A page's files. A block is of the file that it names in its first line, or of that of the block before it. */
export function filesOf(page: string): Files {
  const files: Record<string, string> = {}
  let name = 'example.ts'
  for (const [, code] of readPage(page).matchAll(/^```ts\n(.*?)^```/gms)) {
    name = /^\/\/ (\S+\.ts)\n/.exec(code!)?.[1] ?? name
    files[name] = (files[name] ?? '') + code!
  }
  return files
}

/** Writes files so that they run here: Penhold is its source. */
export function writeRunnable(folder: string, files: Files): void {
  const source = (path: string): string => `'${new URL(`../src/${path}`, import.meta.url).href}'`
  for (const [name, code] of Object.entries(files)) {
    const runnable = code.replaceAll("'penhold'", source('index.ts'))
    fs.writeFileSync(join(folder, name), runnable.replaceAll("'penhold/testing'", source('testing/index.ts')))
  }
}
