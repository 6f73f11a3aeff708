/**
 * Commits for as long as it lives: each time a step of the lane `all`, with 50 numbers and a parked event that say which.
 * Its argument says where. It writes a dot after each commit.
 */
import { BEGINNING } from '../../src/read/all.ts'
import { all, withNumbersAt, type NumberStore } from './number-stores.ts'

async function commitForEver<Model>({ store, set }: NumberStore<Model>): Promise<never> {
  const model = await store.open('killed')
  let from = (await model.places(1)).get('all') ?? BEGINNING
  for (;;) {
    const position = from.position + 1
    const to = { position, shard: 0 }
    await model.commit(1, {
      lane: 'all',
      from,
      to,
      unpark: from.position === 0 ? [] : [{ stream: 'account/1', version: from.position }],
      park: [{ stream: 'account/1', version: position, place: to, type: 'Opened', reason: '', parkedAt: 0 }],
      apply(numbers) {
        return all(Array.from({ length: 50 }, (_, i) => set(numbers, `n${i}`, position)))
      },
    })
    from = to
    process.stdout.write('.')
  }
}

await withNumbersAt(process.argv[2]!, commitForEver)
