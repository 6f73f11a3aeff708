/** Which cluster a command is about: its config, and what the environment says instead. */
import fs from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkSecrets } from '../cluster/secret.ts'
import { loadConfig, noConfig, type ClusterConfig, type Overrides } from '../node/config.ts'
import { UsageError, type Values } from './command.ts'

export const CONFIG_HELP = '(default: cluster.config.ts or .js here)'

/** Variables of the environment, and what each says. */
export const ENVIRONMENT = {
  PENHOLD_REDIS: 'URL of Redis',
  PENHOLD_LISTEN: 'host:port to listen at',
  PENHOLD_ADVERTISE: 'host:port that the other nodes are told',
  PENHOLD_SECRETS: 'shared secrets, with commas between them',
  PENHOLD_HEALTH: 'host:port to answer probes at',
  PENHOLD_NODE_NAME: 'what humans call the node',
  PENHOLD_DATA_DIR: 'the data directory',
  PENHOLD_WORKERS: 'worker threads, or inline',
} as const

export const ENVIRONMENT_HELP: string = [
  'What the environment names counts instead of what the config says:',
  ...Object.entries(ENVIRONMENT).map(([name, what]) => `  ${name.padEnd(19)}${what}`),
].join('\n')

const CONFIGS = ['cluster.config.ts', 'cluster.config.js', 'cluster.config.mjs']

/** @throws UsageError where there is none */
export function findConfig(config: Values[string], remedy: string): URL {
  const file = typeof config === 'string' ? config : CONFIGS.find((name) => fs.existsSync(name))
  if (file === undefined) throw new UsageError('there is no cluster.config.ts here', remedy)
  if (!fs.existsSync(file)) throw new UsageError(noConfig(resolve(file)))
  return pathToFileURL(file)
}

export interface ClusterSource {
  readonly url: URL
  readonly overrides: Overrides
  /** With the overrides over it. */
  readonly config: ClusterConfig
}

/** @throws UsageError, or PenholdError `BadDefinition` */
export async function findCluster(given: Values[string], environment: NodeJS.ProcessEnv): Promise<ClusterSource> {
  const url = findConfig(given, 'give --config FILE')
  const { network } = await loadConfig(url, {})
  const overrides = overridesOf(environment, network)
  return { url, overrides, config: await loadConfig(url, overrides) }
}

/** A variable that is set to nothing is not set. */
function overridesOf(environment: NodeJS.ProcessEnv, network: ClusterConfig['network']): Overrides {
  const given = (name: keyof typeof ENVIRONMENT): string | undefined => environment[name]?.trim() || undefined
  const [redis, nodeName] = [given('PENHOLD_REDIS'), given('PENHOLD_NODE_NAME')]
  const [dataDir, workers] = [given('PENHOLD_DATA_DIR'), given('PENHOLD_WORKERS')]
  const [listen, advertise, health] = [given('PENHOLD_LISTEN'), given('PENHOLD_ADVERTISE'), given('PENHOLD_HEALTH')]
  const secrets = given('PENHOLD_SECRETS')
    ?.split(',')
    .map((secret) => secret.trim())
  // Here it is known where they come from.
  if (secrets !== undefined) checkSecrets(secrets, 'PENHOLD_SECRETS')
  return {
    ...(redis && { redis }),
    ...(nodeName && { nodeName }),
    ...(dataDir && { dataDir: resolve(dataDir) }),
    ...(workers && { workers: workersOf(workers) }),
    ...(health && { health: { listen: health } }),
    network: { ...network, ...(listen && { listen }), ...(advertise && { advertise }), ...(secrets && { secrets }) },
  }
}

function workersOf(given: string): number | 'inline' {
  if (given === 'inline') return given
  if (/^\d+$/.test(given)) return Number(given)
  throw new UsageError(`PENHOLD_WORKERS is '${given}'`, 'give a number, or inline')
}
