import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { Cleanup } from './cleanup.ts'
import { Lan, type Place } from './lan.ts'
import { lanProblem } from './requirement.ts'

/** Answers whatever it hears, and says so when it has. */
const ECHO = `
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (text, { port, address }) => {
  socket.send(text, port, address, () => console.log('heard ' + text))
})
socket.bind(7000, () => console.log('ready'))`
/** Sends each line that it reads. */
const CALLER = `
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (text) => console.log('told ' + text))
require('node:readline')
  .createInterface({ input: process.stdin })
  .on('line', (text) => socket.send(text, 7000, process.argv[1], () => console.log('sent ' + text)))
console.log('ready')`

/** Runs a program of Node in a place. */
function run(place: Place, program: string, ...args: string[]): { say(text: string): void; next(): Promise<unknown> } {
  const [first, ...rest] = [...place.prefix, process.execPath, '--eval', program, ...args]
  const child = spawn(first!, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    say: (text) => void child.stdin.write(`${text}\n`),
    next: async () => (await lines.next()).value,
  }
}

const problem = lanProblem()

test('what is sent over a way that is cut vanishes, and nothing else does', async ({ skip }) => {
  skip(problem !== undefined, problem)
  const cleanup = new Cleanup()
  onTestFinished(() => cleanup.run())
  const lan = new Lan(2, cleanup)
  const [here, there] = lan.places as [Place, Place]
  const echo = run(there, ECHO)
  const caller = run(here, CALLER, there.address)
  expect([await echo.next(), await caller.next()]).toEqual(['ready', 'ready'])
  const heal = lan.cut({ from: here, to: there })
  caller.say('lost')
  expect(await caller.next()).toBe('sent lost')
  heal()
  caller.say('whole')
  expect(await echo.next()).toBe('heard whole')
  expect([await caller.next(), await caller.next()]).toEqual(['sent whole', 'told whole'])
  const healBack = lan.cut({ from: there, to: here })
  caller.say('unanswered')
  expect(await echo.next()).toBe('heard unanswered')
  expect(await caller.next()).toBe('sent unanswered')
  healBack()
  caller.say('whole again')
  expect(await echo.next()).toBe('heard whole again')
  expect([await caller.next(), await caller.next()]).toEqual(['sent whole again', 'told whole again'])
})
