/**
 * Generations of a read model for as long as a test needs them. They have a name-space of their own in the projection's
 * store, so that no node ever sees one, also where the test is killed. Such a one is dropped by who comes more than an hour
 * later: until then it may be that of a test that runs at the same time, maybe on another machine.
 */
import { BEGINNING } from '../read/all.ts'
import { takeStep, without, withNew } from '../read/control.ts'
import type { Projection } from '../read/projection.ts'
import { isGenerationGone } from '../read/read-model-error.ts'
import { LaneMoved, type ReadModel } from '../read/read-model.ts'

/** As long as a projection's name may be. */
const NAME_MAX = 64
const TEST_MS_MAX = 3_600_000
/** A generation says since when it is there, as the place of a lane that no feed has. */
const SINCE = '$since'

/** Opens the name-space. Two projections may share one: each generation is one test's alone. */
export async function openBeside<Model>(
  { name, store }: Projection<Model>,
  dataDir: string,
): Promise<ReadModel<Model>> {
  const readModel = await store.open(`given-${name}`.slice(0, NAME_MAX), dataDir)
  try {
    await dropLeft(readModel)
    return readModel
  } catch (error) {
    await readModel.close()
    throw error
  }
}

/** Runs something in a generation that lives so long. */
export async function inGeneration<Model, Result>(
  readModel: ReadModel<Model>,
  run: (generation: number) => Promise<Result>,
): Promise<Result> {
  const { last: generation } = await takeStep(readModel, (control) => withNew(control, { state: 'trial' }))
  try {
    await note(readModel, generation)
    return await run(generation)
  } finally {
    await drop(readModel, generation)
  }
}

/** Drops what tests have left behind that were killed, and nothing of a projection that happens to have such a name. */
async function dropLeft(readModel: ReadModel<any>): Promise<void> {
  const { generations } = await readModel.control()
  for (const { number: generation, state } of generations) {
    if (state !== 'trial') continue
    try {
      const places = await readModel.places(generation)
      const since = places.get(SINCE)?.position
      // Its test was killed at once, or is just about to note it.
      if (places.size === 0) await note(readModel, generation)
      else if (since !== undefined && since + TEST_MS_MAX < Date.now()) await drop(readModel, generation)
    } catch (error) {
      // Its test is done.
      if (!isGenerationGone(error)) throw error
    }
  }
}

async function drop(readModel: ReadModel<any>, generation: number): Promise<void> {
  await takeStep(readModel, (control) => without(control, ({ number }) => number === generation))
}

/** Notes that a generation is there. */
async function note(readModel: ReadModel<any>, generation: number): Promise<void> {
  const to = { position: Date.now(), shard: 0 }
  const change = { lane: SINCE, from: BEGINNING, to, park: [], unpark: [], apply: () => undefined }
  try {
    await readModel.commit(generation, change)
  } catch (error) {
    // Somebody else has.
    if (!(error instanceof LaneMoved)) throw error
  }
}
