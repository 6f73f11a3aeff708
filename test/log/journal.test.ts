import { expect, test } from 'vitest'
import { Journal } from '../../src/log/journal.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Plan } from '../../src/testing/simulated-storage.ts'

const options = { cluster: { high: 1, low: 2 }, segmentBytes: 65_536 }

function create(disk: SimulatedDisk, plan?: Plan): Promise<Journal> {
  return Journal.create(new SimulatedStorage(disk, plan), options)
}

test.each(['createLog', 'write'] as const)(
  'a journal that finds no room at its %s leaves nothing behind',
  async (step) => {
    const disk = new SimulatedDisk()
    const full: Plan = ({ name }) => (name === step ? 'full' : 'none')
    for (let tries = 0; tries < 3; tries += 1) await expect(create(disk, full)).rejects.toThrow()
    expect([...disk.files.keys()]).toEqual([])
    expect([...disk.folders].filter((path) => /\d/.test(path))).toEqual([])
    expect((await create(disk)).number).toBe(1)
  },
)

test('of journals that are begun while others fail each has a number of its own', async () => {
  const disk = new SimulatedDisk()
  let tries = 0
  const halfFull: Plan = ({ name }) => (name === 'createLog' && (tries += 1) % 2 === 0 ? 'full' : 'none')
  const begun = await Promise.allSettled(Array.from({ length: 20 }, () => create(disk, halfFull)))
  const numbers = begun.flatMap((result) => (result.status === 'fulfilled' ? [result.value.number] : []))
  expect(numbers.length).toBe(10)
  expect(new Set(numbers).size).toBe(10)
})
