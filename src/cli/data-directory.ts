/** Which data directory a command is about. */
import fs from 'node:fs'
import { join, resolve } from 'node:path'
import { CLUSTER_PATH, JOURNALS_PATH } from '../log/path.ts'
import { loadConfig } from '../node/config.ts'
import { UsageError, type Values } from './command.ts'
import { CONFIG_HELP, findConfig } from './config-file.ts'

export const DIRECTORY_OPTIONS = { data: { type: 'string' }, config: { type: 'string' } } as const

export const DIRECTORY_HELP: string = `  --data DIR        the data directory
  --config FILE     the config that names it ${CONFIG_HELP}`

const REMEDY = 'give another with --data DIR; a node makes its own when it starts for the first time'

/** The directory that was named, or that the config names. @throws UsageError where there is none */
export async function findDataDirectory({ data, config }: Values): Promise<string> {
  if (typeof data === 'string' && typeof config === 'string')
    throw new UsageError('there are both --data and --config', 'give one of them')
  const dataDir =
    typeof data === 'string'
      ? resolve(data)
      : (await loadConfig(findConfig(config, 'give --data DIR or --config FILE'), {})).dataDir
  if (!fs.existsSync(dataDir)) throw new UsageError(`there is no data directory ${dataDir}`, REMEDY)
  if (![CLUSTER_PATH, JOURNALS_PATH].some((name) => fs.existsSync(join(dataDir, name)))) {
    throw new UsageError(
      `${dataDir} is no data directory of Penhold: it has neither ${CLUSTER_PATH} nor ${JOURNALS_PATH}`,
      REMEDY,
    )
  }
  return dataDir
}
