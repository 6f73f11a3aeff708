/** All scenarios, by the name that one asks for. */
import type { Scenario } from '../scenario.ts'
import { cluster } from './cluster.ts'
import { failingDevice } from './failing-device.ts'
import { fullDisk } from './full-disk.ts'
import { kill } from './kill.ts'
import { pause } from './pause.ts'
import { powerLoss } from './power-loss.ts'
import { syscalls } from './syscalls.ts'

export const scenarios: readonly Scenario[] = [cluster, kill, pause, powerLoss, failingDevice, fullDisk, syscalls]
