import { execFile, spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../temporary.ts'

const MAIN = join(import.meta.dirname, '../../examples/orders/main.ts')
const ORDERS = '60'
const env = { ...process.env, PAYMENT_DUE_MS: '2000' }
test('every order of the example comes to an end, also where it is killed again and again', async () => {
  const folder = join(temporaryFolder(), 'data')
  for (const journals of [1, 2]) {
    const child = spawn(process.execPath, [MAIN, ORDERS, folder], { env, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    // Once it has begun to write.
    await expect.poll(() => writtenBy(folder), { timeout: 60_000, interval: 5 }).toBeGreaterThan(journals * 40 * 1024)
    child.kill('SIGKILL')
    await ended
  }
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ORDERS, folder], { env })
  const [shipped, withdrawn, refunded] = stdout.split('\n').map((line) => Number.parseInt(line, 10))
  // Of 60 orders 6 are not paid, and 6 go to where nobody delivers. What else could not be paid in time, as nobody was
  // there, is withdrawn as well, or its money is given back.
  expect(withdrawn).toBeGreaterThanOrEqual(6)
  expect(shipped).toBeLessThanOrEqual(48)
  expect(shipped! + withdrawn! + refunded!).toBe(60)
})

/** Bytes of the log that are not the zeroes that segments are filled with. */
function writtenBy(folder: string): number {
  const journals = join(folder, 'journals')
  if (!fs.existsSync(journals)) return 0
  const files = fs.readdirSync(journals, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.log'))
  return files.reduce((sum, name) => sum + fs.readFileSync(join(journals, name)).filter((byte) => byte !== 0).length, 0)
}

test('the example says what is wrong with its arguments', async () => {
  await expect(promisify(execFile)(process.execPath, [MAIN, 'many'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`'many' is no number of orders`) as string,
  })
})
