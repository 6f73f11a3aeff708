/** `/health/live` and `/health/ready`: what a node says to whoever probes it, from before it has started to its end. */
import { NO_TIMERS } from '../react/timers.ts'
import { listenForProbes, type HealthServer, type ProbeAnswer } from '../platform/health-server.ts'
import type { ClusterConfig } from './config.ts'
import { degradedOf, judgeLive, judgeReady, toJson, type Examination, type Verdict } from './health.ts'

export const LIVE_PATH = '/health/live'
export const READY_PATH = '/health/ready'

/** Who can be examined. */
export interface Patient {
  examine(): Promise<Examination>
}

export interface HealthEndpoints {
  readonly address: string
  /** From here on it speaks for this node; before, for one that is starting. */
  speakFor(node: Patient): void
  close(): Promise<void>
}

const UNBORN: Patient = {
  examine: async () => ({
    phase: 'starting',
    workers: [],
    ownership: undefined,
    lost: [],
    projections: [],
    reactors: [],
    inboxes: [],
    wheels: NO_TIMERS,
  }),
}

/** @throws ConnectionError, or PenholdError `BadDefinition` */
export async function openHealthEndpoints(config: ClusterConfig, listen: string): Promise<HealthEndpoints> {
  const { name: cluster, nodeName: node, timeouts } = config
  let patient = UNBORN
  const probe =
    (judge: (found: Examination) => Verdict, flag: 'isLive' | 'isReady') => async (): Promise<ProbeAnswer> => {
      const found = await patient.examine()
      const { isWell, why } = judge(found)
      const degraded = degradedOf(found)
      return { isWell, body: { [flag]: isWell, why, degraded, cluster, node, ...toJson(found) } }
    }
  const server: HealthServer = await listenForProbes(listen, {
    [LIVE_PATH]: probe((found) => judgeLive(found, timeouts.handlerMs), 'isLive'),
    [READY_PATH]: probe(judgeReady, 'isReady'),
  })
  return {
    address: server.address,
    speakFor: (born) => (patient = born),
    close: () => server.close(),
  }
}
