import { batch, opening } from './batch.ts'
import { connection, handshake } from './connection.ts'
import { aggregate, cluster, values } from './definitions.ts'
import { directory } from './directory.ts'
import { claim, clusterFile, index, lockFile, names } from './files.ts'
import { messageFrame, replyFrame } from './frames.ts'
import { messagePack } from './message-pack.ts'
import type { Target } from './target.ts'

export const TARGETS: readonly Target[] = [
  messagePack,
  batch,
  opening,
  directory,
  index,
  claim,
  clusterFile,
  lockFile,
  names,
  messageFrame,
  replyFrame,
  handshake,
  connection,
  cluster,
  aggregate,
  values,
]
