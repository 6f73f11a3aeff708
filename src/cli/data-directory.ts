/** Which data directory a command is about. */
import fs from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CLUSTER_PATH, JOURNALS_PATH } from '../log/path.ts'
import { loadConfig } from '../node/config.ts'
import { UsageError, type Values } from './command.ts'

export const DIRECTORY_OPTIONS = { data: { type: 'string' }, config: { type: 'string' } } as const

export const DIRECTORY_HELP = `  --data DIR        the data directory
  --config FILE     the config that names it (default: cluster.config.ts or .js here)`

const CONFIGS = ['cluster.config.ts', 'cluster.config.js', 'cluster.config.mjs']

/** The directory that was named, or that the config names. @throws UsageError where there is none */
export async function findDataDirectory({ data, config }: Values): Promise<string> {
  if (typeof data === 'string' && typeof config === 'string') throw new UsageError('give --data or --config, not both')
  const dataDir = typeof data === 'string' ? resolve(data) : await fromConfig(config)
  if (!fs.existsSync(dataDir)) throw new UsageError(`there is no data directory ${dataDir}`)
  if (![CLUSTER_PATH, JOURNALS_PATH].some((name) => fs.existsSync(join(dataDir, name)))) {
    throw new UsageError(
      `${dataDir} is no data directory of Penhold: it has neither ${CLUSTER_PATH} nor ${JOURNALS_PATH}`,
    )
  }
  return dataDir
}

async function fromConfig(config: Values[string]): Promise<string> {
  const file = typeof config === 'string' ? config : CONFIGS.find((name) => fs.existsSync(name))
  if (file === undefined) throw new UsageError('there is no cluster.config.ts here: give --data DIR or --config FILE')
  if (!fs.existsSync(file)) throw new UsageError(`there is no config file ${resolve(file)}`)
  return (await loadConfig(pathToFileURL(file), {})).dataDir
}
