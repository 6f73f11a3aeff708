import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { sizeOf } from '../../src/cli/report.ts'
import { run } from '../../src/cli/run.ts'
import { Account } from '../account.ts'
import { cli as main } from '../cli-node.ts'
import { runCli as penhold, type Said } from '../cli-run.ts'
import { startInlineNode } from '../node/inline-node.ts'
import { temporaryFolder } from '../temporary.ts'

/** A data directory in which some accounts have a deposit each. */
async function dataDirectory(): Promise<string> {
  const dataDir = temporaryFolder()
  const node = await startInlineNode({ dataDir })
  for (let i = 0; i < 20; i += 1) await node.ref(Account, `a${i}`).ask('deposit', { amount: 1 })
  await node.close()
  return dataDir
}

function flip(path: string, at: number): void {
  const bytes = fs.readFileSync(path)
  bytes[at]! ^= 4
  fs.writeFileSync(path, bytes)
}

describe('penhold', () => {
  test('lists its commands, and each says how it is used', async () => {
    expect(await penhold('--help')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/verify .*\n.*repair /) as string,
    })
    expect(await penhold()).toMatchObject({ code: 2 })
    for (const name of ['status', 'start', 'drain', 'doctor']) {
      const help = expect.stringMatching(new RegExp(`penhold ${name}[^]*2 usage`)) as string
      expect(await penhold(name, '--help')).toMatchObject({ code: 0, out: help })
    }
    for (const name of ['verify', 'repair', 'backup', 'restore', 'export', 'import']) {
      expect(await penhold(name, '--help')).toMatchObject({
        code: 0,
        out: expect.stringMatching(new RegExp(`penhold ${name}[^]*130 interrupted`)) as string,
      })
    }
  })

  test.each([
    [['verfy'], "there is no command 'verfy'; the nearest is 'verify'"],
    [['constructor'], "there is no command 'constructor'"],
    [['--shards', 'status'], "there is no command before '--shards'; see penhold --help"],
    [
      ['verify', '--dat', 'x'],
      "verify: there is no option '--dat'; the nearest is '--data'; see penhold verify --help",
    ],
    [['verify', 'x'], "verify: Unexpected argument 'x'; see penhold verify --help"],
    [['verify'], 'give --data DIR or --config FILE'],
    [['verify', '--data', '/does/not/exist'], 'there is no data directory /does/not/exist'],
    [['verify', '--config', '/does/not/exist.ts'], 'there is no config file'],
    [['verify', '--data', 'x', '--config', 'y'], 'give one of them'],
    [['verify', '--data', import.meta.dirname], 'is no data directory of Penhold'],
    [['repair', '--mend'], 'argument missing'],
    [['start'], 'give --config FILE'],
    [['status', '--config', '/does/not/exist.ts'], 'there is no config file'],
    [['drain'], 'drain: it takes one NODE, and was given 0'],
    [['backup'], 'backup: it takes one TO, and was given 0'],
    [['restore', 'x'], 'restore: it takes one FROM and one TO, and was given 1'],
    [['restore', import.meta.dirname, 'x'], 'there is no backup in'],
    [['export', '--to-time', '2026-03-01T12:00:00'], 'is no time with its zone'],
    [['export', '--to-time', 'x', '--to-position', '1'], 'give one of them'],
    [['export', '--from-position', '1.5'], "'1.5' is no position"],
    [['import', '/does/not/exist'], 'there is no file /does/not/exist'],
    [['drain', 'a', 'b'], 'drain: it takes one NODE, and was given 2'],
  ])('%j is refused with what is wrong', async (words, message) => {
    const here = process.cwd()
    process.chdir(temporaryFolder())
    const { code, out, err } = await penhold(...words)
    const asJson = await penhold(words[0]!, '--json', ...words.slice(1)).finally(() => process.chdir(here))
    expect([code, out]).toEqual([2, ''])
    const { error } = JSON.parse(asJson.err) as { error: { message: string } }
    expect([asJson.code, asJson.out, `penhold: ${error.message}\n`]).toEqual([2, '', err])
    expect(err).toContain(message)
    expect(err).toMatch(/^penhold: [^\n]+; [^\n]+\n$/)
  })

  test('a config is told to be missing with the one beside it, and what Penhold finds in one without a stack', async () => {
    const folder = temporaryFolder()
    const config = join(folder, 'cluster.config.js')
    const source = new URL('../../src/index.ts', import.meta.url).href
    fs.writeFileSync(config, `import { defineCluster } from '${source}'\nexport default defineCluster({ name: '!' })`)
    const missing = await penhold('start', '--config', join(folder, 'cluster.config.ts'))
    expect(missing).toMatchObject({
      code: 2,
      err: expect.stringContaining('beside it there is cluster.config.js') as string,
    })
    const asJson = await penhold('start', '--config', config, '--json')
    expect(JSON.parse(asJson.err)).toMatchObject({ error: { code: 'BadDefinition' } })
    const { code, err } = await penhold('start', '--config', config)
    expect([code, err]).toEqual([1, expect.stringMatching(/^penhold: BadDefinition: .*a cluster's name is '!'.*\n$/)])
  })

  test('what the system refuses is told in a line', async () => {
    const dataDir = temporaryFolder()
    fs.mkdirSync(join(dataDir, 'cluster.json'))
    const { code, err } = await penhold('verify', '--data', dataDir)
    expect([code, err]).toEqual([1, expect.stringMatching(/^penhold: EISDIR: [^\n]+; [^\n]+\n$/)])
  })

  test('says its version', async () => {
    expect(await penhold('--version')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
    })
  })

  test('a log without damage is verified, by directory or by config, as text or as JSON', async () => {
    const dataDir = await dataDirectory()
    expect(await penhold('verify', '--data', dataDir)).toMatchObject({ code: 0, err: '' })
    const { code, out } = await penhold('verify', '--data', dataDir, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ dataDir, events: 20, streams: 20, damages: 0, findings: [] })
    const config = join(temporaryFolder(), 'cluster.config.mjs')
    const source = new URL('../../src/index.ts', import.meta.url).href
    fs.writeFileSync(
      config,
      `import { defineCluster } from '${source}'\nexport default defineCluster({ name: 'x', aggregates: [], dataDir: '${dataDir}' })`,
    )
    expect(await penhold('verify', '--config', config)).toMatchObject({
      code: 0,
      out: expect.stringContaining(dataDir) as string,
    })
  })

  test('beside a node that runs verify finds nothing wrong, and repair refuses', async () => {
    const dataDir = await dataDirectory()
    const node = await startInlineNode({ dataDir })
    const writing = Promise.all(
      Array.from({ length: 300 }, (_, i) => node.ref(Account, `a${i % 20}`).ask('deposit', { amount: 1 })),
    )
    for (let round = 0; round < 5; round += 1) {
      const { code, out } = await penhold('verify', '--data', dataDir, '--json')
      expect(JSON.parse(out)).toMatchObject({ damages: 0 })
      expect(code).toBe(0)
    }
    await writing
    expect(await penhold('repair', '--data', dataDir)).toMatchObject({
      code: 1,
      err: expect.stringContaining('DataDirectoryInUse') as string,
    })
  })

  test('a flipped bit is told with file, place, meaning and what to do, and that mends it', async () => {
    const dataDir = await dataDirectory()
    const file = 'journals/00000001/000001.log'
    const path = join(dataDir, file)
    const before = fs.readFileSync(path)
    flip(path, Math.floor(before.length / 2))
    const found = await penhold('verify', '--data', dataDir)
    expect(found.code).toBe(1)
    expect(found.out).toMatch(new RegExp(`DAMAGE ${file} at byte ${Math.floor(before.length / 2)}: one bit is flipped`))
    expect(found.out).toMatch(/meaning: it is event 1 of account\/a\d+ \(MoneyDeposited, seq \d+ of shard \d\)/)
    expect(found.out).toContain(`penhold repair --mend ${file}`)
    expect(await penhold('repair', '--data', dataDir)).toMatchObject({ code: 1 })
    const repaired = await penhold('repair', '--data', dataDir, '--mend', file)
    expect(repaired).toMatchObject({ code: 0, out: expect.stringContaining('no damage') as string })
    expect(fs.readFileSync(path).equals(before)).toBe(true)
    expect(fs.existsSync(join(dataDir, 'repaired', file))).toBe(true)
    const again = await penhold('repair', '--data', dataDir, '--mend', file)
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining(`nothing of ${file} can be mended`) as string })
    expect(again.err).toMatch(/^penhold: nothing of [^\n]+; [^\n]+\n$/)
    expect(await penhold('repair', '--data', dataDir, '--mend', '../x')).toMatchObject({ code: 2 })
    const node = await startInlineNode({ dataDir })
    for (let i = 0; i < 20; i += 1) expect(await node.ref(Account, `a${i}`).query('balance')).toBe(1)
  })

  test('what could be mended is told, also where something else could not be', async () => {
    const dataDir = await dataDirectory()
    const [harmed, unknown] = ['journals/00000001/000001.log', 'journals/00000009/000001.log']
    const path = join(dataDir, harmed)
    const length = fs.statSync(path).size
    for (const files of [
      [harmed, unknown],
      [unknown, harmed],
    ]) {
      flip(path, Math.floor(length / 2))
      const words = files.flatMap((file) => ['--mend', file])
      expect(await penhold('repair', '--data', dataDir, ...words)).toMatchObject({
        code: 1,
        out: expect.stringMatching(new RegExp(`^repaired ${harmed}: .*\\n.*no damage`, 's')) as string,
        err: expect.stringContaining(`nothing of ${unknown} can be mended`) as string,
      })
    }
    flip(path, Math.floor(length / 2))
    const words = ['--mend', unknown, '--mend', harmed, '--json']
    const { out } = await penhold('repair', '--data', dataDir, ...words)
    expect(JSON.parse(out)).toMatchObject({
      damages: 0,
      repairs: [{ file: harmed }],
      refused: [expect.stringContaining(unknown) as string],
    })
  })

  test('a loss is accepted only for the file that is named', async () => {
    const dataDir = await dataDirectory()
    const file = 'journals/00000001/000001.log'
    const path = join(dataDir, file)
    const bytes = fs.readFileSync(path)
    bytes.fill(0xaa, bytes.length / 2, bytes.length / 2 + 64)
    fs.writeFileSync(path, bytes)
    // Of a segment that was left, a node with its index knows more than one without.
    expect((await penhold('verify', '--data', dataDir)).out).toMatch(
      /meaning: shards? [\d, ]+ lost something there, or may have: (?:it is|they are) refused; where a sound index \(\.idx\)/,
    )
    expect(await penhold('repair', '--data', dataDir)).toMatchObject({ code: 1 })
    const { code, out } = await penhold('repair', '--data', dataDir, '--accept-loss', file, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ damages: 0, repairs: [{ file }] })
    expect(fs.readFileSync(path).equals(bytes)).toBe(true)
    const node = await startInlineNode({ dataDir })
    expect((await node.status()).workers[0]!.refused).toEqual([])
  })

  test('Ctrl-C ends it', async () => {
    const dataDir = await dataDirectory()
    const terminal = { out: () => undefined, err: () => undefined, isWatched: false, isScreen: false }
    expect(await run(['verify', '--data', dataDir], terminal, AbortSignal.abort())).toBe(130)
  })

  test('repair that is interrupted says what was done by then, which stays, and what was not', async () => {
    const dataDir = await dataDirectory()
    const file = 'journals/00000001/000001.log'
    const path = join(dataDir, file)
    const before = fs.readFileSync(path)
    flip(path, Math.floor(before.length / 2))
    const interruptAt = async (what: RegExp, ...words: string[]): Promise<Said> => {
      const said = { out: '', err: '' }
      const stop = new AbortController()
      const terminal = {
        out: (text: string) => {
          said.out += `${text}\n`
          if (what.test(text)) stop.abort()
        },
        err: (text: string) => void (said.err += `${text}\n`),
        isWatched: false,
        isScreen: false,
      }
      if (what.test('')) stop.abort()
      return { code: await run(['repair', '--data', dataDir, ...words], terminal, stop.signal), ...said }
    }
    expect(await interruptAt(/^$/, '--mend', file)).toEqual({
      code: 130,
      out: '',
      err: 'penhold: interrupted before all was read; nothing was changed\n',
    })
    expect(fs.readFileSync(path).equals(before)).toBe(false)
    const { code, out, err } = await interruptAt(/^repaired journals/, '--mend', file, '--accept-loss', file)
    expect(code).toBe(130)
    expect(out).toContain(`repaired ${file}: the flipped bit was set right`)
    expect(err).toBe(
      `penhold: interrupted: repaired, and it stays so: ${file}; not done: --accept-loss ${file}, the indexes; penhold verify says what is left\n`,
    )
    expect(fs.readFileSync(path).equals(before)).toBe(true)
    expect(await penhold('verify', '--data', dataDir)).toMatchObject({ code: 0 })
  })

  test('what there is is counted in good English, and small sizes are small', async () => {
    const dataDir = temporaryFolder()
    const node = await startInlineNode({ dataDir })
    await node.ref(Account, 'a').ask('deposit', { amount: 1 })
    await node.close()
    expect((await penhold('verify', '--data', dataDir)).out).toMatch(/: 1 journal, [\d.]+ k?B, 1 event in 1 stream\n/)
    expect([0, 999, 1_500, 12_345, 999_499, 2_500_000, 123_456_789, 5e9].map(sizeOf)).toEqual([
      '0 B',
      '999 B',
      '1.5 kB',
      '12 kB',
      '999 kB',
      '2.5 MB',
      '123 MB',
      '5,000 MB',
    ])
  })

  test('an older Node is told what it takes, by the command and by the package, before anything else fails', () => {
    const older = `data:text/javascript,Object.defineProperty(process, 'version', { value: 'v20.20.2' })`
    const said = 'Penhold needs Node 24; this is v20.20.2. In a project: npm install --save-dev node@24'
    const runOn20 = (entry: string): { status: number | null; stderr: string } => {
      const path = new URL(`../../src/${entry}`, import.meta.url).pathname
      return spawnSync(process.execPath, ['--import', older, path, 'start'], { encoding: 'utf8' })
    }
    const { status, stderr } = runOn20('cli/main.ts')
    expect([status, stderr]).toEqual([1, expect.stringMatching(new RegExp(`^penhold: ${said}.*\\n$`))])
    for (const entry of ['index.ts', 'testing/index.ts']) expect(runOn20(entry).stderr).toContain(`Error: ${said}`)
  })

  test('the program itself gives the exit code', async () => {
    const dataDir = await dataDirectory()
    expect(execFileSync(process.execPath, [main, 'verify', '--data', dataDir], { encoding: 'utf8' })).toContain(
      'no damage',
    )
    flip(join(dataDir, 'cluster.json'), 20)
    const { status, stdout } = spawnSync(process.execPath, [main, 'verify', '--data', dataDir], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([1, expect.stringContaining('--mend cluster.json')])
    expect(spawnSync(process.execPath, [main, 'nothing']).status).toBe(2)
    execFileSync(process.execPath, [main, 'repair', '--data', dataDir, '--mend', 'cluster.json'])
    await startInlineNode({ dataDir })
  })

  test('whoever reads what the program tells may go away, as `head` does', async () => {
    const child = spawn(process.execPath, [main, 'verify', '--data', await dataDirectory()])
    child.stdout.destroy()
    const [err, [code]] = await Promise.all([textOf(child.stderr), once(child, 'exit')])
    expect([code, err]).toEqual([0, ''])
  })
})
