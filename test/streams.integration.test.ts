import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from './temporary.ts'

const page = fs.readFileSync(join(import.meta.dirname, '../docs/streams.md'), 'utf8')
const penhold = new URL('../src/index.ts', import.meta.url).href
const examples = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code).join('')

test('docs/streams.md: its examples, one after the other, print what the page says', () => {
  const folder = temporaryFolder()
  const program = examples.replace("'penhold'", `'${penhold}'`).replace("'./data'", `'${folder}'`)
  const said = [...program.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].flatMap(([, text]) => text!.split(' | '))
  expect(said.length, 'it prints something').toBe(program.split('console.log(').length)
  const path = join(folder, 'streams.ts')
  fs.writeFileSync(
    path,
    `import { inspect } from 'node:util'\ninspect.defaultOptions.breakLength = Infinity\n${program}`,
  )
  const printed = execFileSync(process.execPath, [path], { encoding: 'utf8' }).trim().split('\n')
  expect(printed).toEqual(said)
})
