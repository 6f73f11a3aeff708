import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { ENVIRONMENT } from '../src/cli/config-file.ts'
import { defineCluster } from '../src/index.ts'
import { LIVE_PATH, READY_PATH } from '../src/node/health-endpoints.ts'
import { startCliNode } from './cli-node.ts'
import { runCli } from './cli-run.ts'
import { ACCOUNT, readPage, writeRunnable } from './documented.ts'
import { hasRedis, startRedis } from './redis-server.ts'
import { temporaryFolder } from './temporary.ts'

const root = join(import.meta.dirname, '..')
const deploy = join(root, 'deploy')
const { timeouts } = defineCluster({ name: 'x', aggregates: [], dataDir: 'd' })
/** What closing takes at most: what is under way, handing over, and the workers; and some for leaving. */
const STOP_S_MIN = (3 * timeouts.stopMs) / 1000 + 5
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

const read = (name: string): string => fs.readFileSync(join(deploy, name), 'utf8')

type Yaml = Record<string, unknown>

/** The documents of a file, merged keys and all. */
function yaml<Shape = Yaml>(name: string): readonly Shape[] {
  return parseAllDocuments(read(name), { merge: true, strict: true, uniqueKeys: true }).map((document) => {
    expect(document.errors, name).toEqual([])
    expect(document.warnings, name).toEqual([])
    return document.toJS() as Shape
  })
}

test('every variable of the environment that a file names is one that the command reads', () => {
  for (const name of fs.readdirSync(deploy)) {
    for (const [variable] of read(name).matchAll(/PENHOLD_[A-Z_]+/g)) {
      expect(Object.keys(ENVIRONMENT), `${name}: ${variable}`).toContain(variable)
    }
  }
  const page = fs.readFileSync(join(root, 'docs/deploy.md'), 'utf8')
  const documented = [...page.matchAll(/^\| `(PENHOLD_\w+)`/gm)].map(([, variable]) => variable!)
  expect(documented.toSorted()).toEqual(Object.keys(ENVIRONMENT).toSorted())
})

test('docs/deploy.md names every file, and no others', () => {
  const page = fs.readFileSync(join(root, 'docs/deploy.md'), 'utf8')
  const named = new Set([...page.matchAll(/deploy\/([\w.]+\w)/g)].map(([, name]) => name!))
  expect([...named].toSorted()).toEqual(fs.readdirSync(deploy).toSorted())
})

test.skipIf(!hasRedis)(
  'docs/deploy.md: the nodes on one machine are started as it says, and find each other',
  async () => {
    const page = readPage('docs/deploy.md')
    const [, config] = /^```ts\n(\/\/ cluster\.config\.ts\n.*?)^```/ms.exec(page)!
    const starts = [...page.matchAll(/^PENHOLD_NODE_NAME=(\S+) PENHOLD_HEALTH=127\.0\.0\.1:(\d+) node .* start$/gm)]
    expect(new Set(starts.map(([, , port]) => port)).size).toBe(3)
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const folder = temporaryFolder()
    writeRunnable(folder, {
      'account.ts': ACCOUNT,
      'cluster.config.ts': config!.replace('redis://127.0.0.1:6379', redis.url),
    })
    const path = join(folder, 'cluster.config.ts')
    // The ports of the page may be taken here.
    const environment = { ...process.env, PENHOLD_HEALTH: '127.0.0.1:0' }
    const starting = starts.map(([, name]) =>
      startCliNode({ config: path, environment: { ...environment, PENHOLD_NODE_NAME: name! } }),
    )
    await Promise.all(starting)
    const found = async (): Promise<readonly string[]> => {
      const { out } = await runCli('status', '--config', path, '--json')
      const { members } = JSON.parse(out) as { readonly members: readonly { readonly name: string }[] }
      return members.map(({ name }) => name)
    }
    await expect.poll(found).toEqual(['node-1', 'node-2', 'node-3'])
  },
)

/** `[Section]` and `Name=value` lines. */
function unit(): ReadonlyMap<string, string> {
  const lines = read('penhold.service').matchAll(/^(\w+)=(.*)$/gm)
  return new Map([...lines].map(([, name, value]) => [name!, value!]))
}

test('the unit starts what is there, gives it time to stop, and keeps its secrets out of the file', () => {
  const settings = unit()
  const [node, script, ...words] = settings.get('ExecStart')!.split(' ')
  expect(node).toMatch(/^\/.*\/node$/)
  const { bin } = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')) as { bin: { penhold: string } }
  expect(script).toBe(`node_modules/penhold/${bin.penhold}`)
  expect(words).toEqual(['start'])
  expect(settings.get('KillSignal')).toBe('SIGTERM')
  expect(Number(settings.get('TimeoutStopSec'))).toBeGreaterThan(STOP_S_MIN)
  expect(settings.get('EnvironmentFile')).toBeDefined()
  expect(read('penhold.service')).not.toMatch(/^Environment=PENHOLD_(SECRETS|REDIS)/m)
  expect(settings.has('MemoryDenyWriteExecute'), "V8's compiler needs it off").toBe(false)
})

test.skipIf(!hasSystemd)('systemd takes the unit (needs systemd-analyze)', () => {
  const folder = temporaryFolder()
  const path = join(folder, 'penhold.service')
  fs.writeFileSync(path, read('penhold.service').replace('/usr/bin/node', process.execPath))
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
  const ours = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('penhold'))
  expect([status, ours]).toEqual([0, []])
})

interface Stage {
  readonly copies: readonly { readonly from: readonly string[]; readonly to: string }[]
  readonly environment: Record<string, string>
  readonly lines: readonly string[]
}

/** The last stage of the Dockerfile. */
function image(): Stage {
  const text = read('Dockerfile')
    .replaceAll(/^#.*$/gm, '')
    .replaceAll(/\\\n\s*/g, '')
  const lines = text.slice(text.lastIndexOf('FROM ')).split('\n')
  const copies = lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from'))
    .map((line) => line.split(' ').slice(1))
    .map((words) => ({ from: words.slice(0, -1), to: words.at(-1)! }))
  const environment = [...lines.find((line) => line.startsWith('ENV '))!.matchAll(/(\w+)=(\S+)/g)]
  return { copies, environment: Object.fromEntries(environment.map(([, name, value]) => [name!, value!])), lines }
}

const words = (stage: Stage, instruction: string): readonly string[] => {
  const line = stage.lines.find((each) => each.startsWith(instruction))!
  return JSON.parse(line.slice(line.indexOf('['))) as string[]
}

test('the image copies what is there, runs as nobody special, and asks for what is answered', () => {
  const text = read('Dockerfile')
  for (const [, from] of text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)) {
    for (const path of from!.split(' ')) expect(fs.existsSync(join(root, path)), path).toBe(true)
  }
  const stage = image()
  const user = stage.lines.find((line) => line.startsWith('USER '))
  expect(user).toBe('USER node')
  expect([...words(stage, 'ENTRYPOINT'), ...words(stage, 'CMD')]).toEqual(['node', 'src/cli/main.ts', 'start'])
  const probe = stage.lines.find((line) => line.startsWith('HEALTHCHECK'))
  const port = stage.environment['PENHOLD_HEALTH']!.split(':')[1]
  expect(probe).toContain(`http://127.0.0.1:${port}${LIVE_PATH}'`)
  const [major] = process.versions.node.split('.')
  expect(stage.lines[0]).toBe(`FROM node:${major}-slim`)
})

test('what the image holds starts a node, which its health check finds live, and which SIGTERM ends', async () => {
  const folder = temporaryFolder()
  const stage = image()
  for (const { from, to } of stage.copies) {
    for (const path of from) {
      const isFolder = fs.statSync(join(root, path)).isDirectory()
      fs.cpSync(join(root, path), isFolder ? join(folder, to) : join(folder, to, path), { recursive: true })
    }
  }
  fs.mkdirSync(join(folder, 'node_modules'))
  const { dependencies } = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }
  for (const name of Object.keys(dependencies)) {
    fs.mkdirSync(join(folder, 'node_modules', name, '..'), { recursive: true })
    fs.symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  }
  const [, ...entry] = [...words(stage, 'ENTRYPOINT'), ...words(stage, 'CMD')]
  const own = { PENHOLD_DATA_DIR: join(folder, 'data'), PENHOLD_HEALTH: '127.0.0.1:0' }
  const node = spawn(process.execPath, entry, {
    cwd: folder,
    env: { ...process.env, ...stage.environment, ...own },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void node.kill('SIGKILL'))
  const [said] = (await once(node.stdout, 'data')) as [Buffer]
  const port = /:(\d+)\/health/.exec(String(said))![1]!
  const [, , script] = words(stage, 'HEALTHCHECK')
  const check = (at: string): number | null => {
    const code = script!.replace(/:\d+\//, `:${at}/`)
    return spawnSync(process.execPath, ['-e', code], { timeout: 30_000 }).status
  }
  await expect.poll(() => check(port)).toBe(0)
  const ended = once(node, 'exit')
  node.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  expect(check(port)).toBe(1)
})

interface Compose {
  readonly services: Record<string, { environment?: Record<string, string>; stop_grace_period?: string; build?: Yaml }>
}

test('the composed nodes have one secret, a name and an address each, and time to stop', () => {
  const [{ services }] = yaml<Compose>('compose.yaml') as [Compose]
  const nodes = Object.entries(services).filter(([name]) => name.startsWith('node-'))
  expect(nodes).toHaveLength(3)
  const port = image().environment['PENHOLD_LISTEN']!.split(':')[1]
  for (const [name, { environment, stop_grace_period, build }] of nodes) {
    expect(environment).toMatchObject({ PENHOLD_NODE_NAME: name, PENHOLD_ADVERTISE: `${name}:${port}` })
    expect(Object.keys(environment!)).toContain('PENHOLD_SECRETS')
    expect(Number.parseInt(stop_grace_period!, 10)).toBeGreaterThan(STOP_S_MIN)
    expect(fs.existsSync(join(deploy, build!['context'] as string, build!['dockerfile'] as string))).toBe(true)
  }
})

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly timeoutSeconds: number
}

interface StatefulSet {
  readonly kind: string
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly [
          {
            readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
            readonly livenessProbe: Probe
            readonly readinessProbe: Probe
            readonly volumeMounts: readonly { readonly mountPath: string }[]
          },
        ]
      }
    }
  }
}

test('the pods are probed where nodes answer, share a volume, and have time to stop', () => {
  const documents = yaml<StatefulSet>('kubernetes.yaml')
  const kinds = ['PersistentVolumeClaim', 'Service', 'StatefulSet', 'PodDisruptionBudget']
  expect(documents.map(({ kind }) => kind)).toEqual(kinds)
  expect(documents[0]).toMatchObject({ spec: { accessModes: ['ReadWriteMany'] } })
  const { spec } = documents[2]!.spec.template
  const [{ ports, livenessProbe, readinessProbe, volumeMounts }] = spec.containers
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(STOP_S_MIN)
  expect([livenessProbe.httpGet.path, readinessProbe.httpGet.path]).toEqual([LIVE_PATH, READY_PATH])
  for (const { httpGet, timeoutSeconds } of [livenessProbe, readinessProbe]) {
    expect(ports.map(({ name }) => name)).toContain(httpGet.port)
    expect(timeoutSeconds).toBeGreaterThan(1)
  }
  const { environment } = image()
  const portOf = (variable: string): number => Number(environment[variable]!.split(':')[1])
  const listened = [portOf('PENHOLD_LISTEN'), portOf('PENHOLD_HEALTH')]
  expect(ports.map(({ containerPort }) => containerPort)).toEqual(listened)
  expect(volumeMounts.map(({ mountPath }) => mountPath)).toEqual([environment['PENHOLD_DATA_DIR']])
})
