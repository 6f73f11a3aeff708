import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import config from '../../cluster.config.ts'
import { readArguments } from '../../examples/incidents/arguments.ts'
import { generateIncidents } from '../../examples/incidents/generated.ts'
import { differences, hasOthers, wrongReadModels } from '../../examples/incidents/report.ts'
import { openCsv, type Row, type Source } from '../../examples/incidents/rows.ts'
import { run, type Run } from '../../examples/incidents/runner.ts'
import { startNode, type Node } from '../../src/index.ts'

let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'penhold-test-incidents-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const startInline = (dataDir: string): Promise<Node> =>
  startNode(config, { dataDir: join(dir, dataDir), workers: 'inline', shards: 4 })

describe('a run', () => {
  /** What a run ends with, without its times. */
  const numbersOf = (outcome: Run) => {
    if (outcome.kind === 'stopped') throw new Error('it was stopped')
    const { seconds: _seconds, commandsPerSecond: _commandsPerSecond, ...numbers } = outcome.numbers
    return numbers
  }
  const runOn = async (dataDir: string, source: Source, signal?: AbortSignal): Promise<Run> => {
    await using node = await startInline(dataDir)
    return await run({ node, source, ...(signal && { signal }) })
  }
  const some = () => generateIncidents({ seed: 3, incidents: 150 })

  test('over generated incidents ends with the truth, and so does a second one over its data', async () => {
    const source = some()
    const first = await runOn('twice', source)
    expect(first.kind === 'done' && differences(first.numbers, source.truth)).toEqual([])
    expect(numbersOf(await runOn('twice', some()))).toEqual(numbersOf(first))
    // The seed was chosen so that everything occurs that a second run could do wrong.
    expect(source.truth.rejected).toBeGreaterThan(0)
    expect(source.truth.reopened).toBeGreaterThan(0)
    expect(source.truth.closed).toBeLessThan(source.truth.incidents)
  })

  test('comes to read models that are what the rows say, and the next goes on from where they are', async () => {
    const eventsTaken = async (): Promise<readonly number[]> => {
      await using node = await startInline('read-models')
      const outcome = await run({ node, source: some() })
      if (outcome.kind === 'stopped') throw new Error('it was stopped')
      expect(wrongReadModels(outcome.readModels, outcome.expected)).toEqual([])
      expect(hasOthers(outcome.readModels, outcome.expected)).toBe(false)
      expect(outcome.expected.openByGroup.length).toBeGreaterThan(1)
      return (await node.status()).projections.map(({ events }) => events)
    }
    const first = await eventsTaken()
    expect(Math.min(...first)).toBeGreaterThan(300)
    expect(await eventsTaken()).toEqual([0, 0, 0])
  })

  test('tells a log that has incidents of other rows', async () => {
    await runOn('others', generateIncidents({ seed: 4, incidents: 2 }))
    const outcome = await runOn('others', generateIncidents({ seed: 3, incidents: 1 }))
    expect(outcome.kind === 'done' && hasOthers(outcome.readModels, outcome.expected)).toBe(true)
  })

  test('that was stopped anywhere is finished by the next', async () => {
    const undisturbed = numbersOf(await runOn('undisturbed', some()))
    for (const rows of [1, 17, 400, 700]) {
      const stop = new AbortController()
      const outcome = await runOn('stopped', stoppedAfter(some(), rows, stop), stop.signal)
      expect(outcome.kind).toBe('stopped')
    }
    expect(numbersOf(await runOn('stopped', some()))).toEqual(undisturbed)
  })

  test('ends with the line and the incident of a row that fails for good, and sends none of its later rows', async () => {
    const rows = await all(generateIncidents({ seed: 3, incidents: 1 }).rows)
    const changed = rows.map((row) => ({ ...row, report: { ...row.report, caller: 'somebody else' } }))
    await runOn('failing', sourceOf(rows.slice(0, 1)))
    await expect(runOn('failing', sourceOf(changed))).rejects.toThrow(/^line 1, incident S3-000001: the command id /)
    // Had a later one been sent as changed, its id would be taken.
    const whole = await runOn('failing', sourceOf(rows))
    expect(numbersOf(whole)).toMatchObject({ rows: rows.length, accepted: rows.length })
    expect(rows.length).toBeGreaterThan(1)
  })

  test('names the line of a row whose number cannot be that of an incident', async () => {
    const [row] = await all(generateIncidents({ seed: 1, incidents: 1 }).rows)
    const source = sourceOf([{ ...row!, line: 12, number: 'a\tb' }])
    await expect(runOn('bad-number', source)).rejects.toThrow(/^line 12: .*control character/)
  })
})

test('generated incidents depend on the seed alone, and more of them only add', async () => {
  const [few, same, more, others] = await Promise.all([
    all(generateIncidents({ seed: 5, incidents: 80 }).rows),
    all(generateIncidents({ seed: 5, incidents: 80 }).rows),
    all(generateIncidents({ seed: 5, incidents: 200 }).rows),
    all(generateIncidents({ seed: 6, incidents: 80 }).rows),
  ])
  const withoutLine = (rows: readonly Row[]) => rows.map((row) => ({ ...row, line: 0 }))
  expect(few).toEqual(same)
  const numbers = new Set(few.map(({ number }) => number))
  expect(withoutLine(more.filter(({ number }) => numbers.has(number)))).toEqual(withoutLine(few))
  expect(others.map(({ report }) => report)).not.toEqual(few.map(({ report }) => report))
  expect(few.map(({ report }) => report.at)).toEqual(few.map(({ report }) => report.at).toSorted())
})

describe('rows of a CSV file', () => {
  const HEADER = `number,incident_state,sys_updated_at,sys_updated_by,reassignment_count,reopen_count,made_sla,\
assignment_group,assigned_to,priority,impact,urgency,category,subcategory,caller_id,opened_by,opened_at,contact_type,\
location,knowledge`
  const ROW = '0000045,New,2016-02-29T01:23:00,21,0,0,true,56,,3,2,2,55,170,2403,8,2016-02-29T01:16:00,Phone,143,true'

  const read = async (name: string, content: string | Buffer): Promise<Row[]> => {
    const path = join(dir, name)
    await writeFile(path, content)
    await using source = await openCsv(path)
    const rows = await all(source.rows)
    expect(source.fraction()).toBe(1)
    return rows
  }

  test('are read as reports, gzipped or not, whatever the order of their columns', async () => {
    const expected = {
      line: 2,
      number: '0000045',
      updatedBy: '21',
      opening: { openedAt: '2016-02-29T01:16:00', openedBy: '8' },
      report: {
        at: '2016-02-29T01:23:00',
        state: 'New',
        group: '56',
        assignee: null,
        impact: 2,
        urgency: 2,
        priority: 3,
        category: '55',
        subcategory: '170',
        caller: '2403',
        contact: 'Phone',
        location: '143',
        hasKnowledge: true,
        reassignments: 0,
        reopenings: 0,
        isWithinSla: true,
      },
    }
    const backwards = [HEADER, ROW].map((line) => line.split(',').toReversed().join(',')).join('\r\n')
    expect(await read('plain.csv', `${HEADER}\n${ROW}\n`)).toEqual([expected])
    expect(await read('backwards.csv', `\uFEFF${backwards}`)).toEqual([expected])
    expect(await read('packed.csv.gz', gzipSync(`${HEADER}\n${ROW}\n`))).toEqual([expected])
  })

  test.each([
    ['empty.csv', '', 'its first line should name the columns'],
    ['headless.csv', `${ROW}\n`, 'line 1: there is no column number'],
    ['short.csv', `${HEADER}\n${ROW}\n0000047,New\n`, 'on line 3'],
    ['count.csv', `${HEADER}\n${ROW}\n${ROW.replace(',0,0,', ',-1,0,')}`, `line 3: reassignment_count is '-1'`],
    ['truth.csv', `${HEADER}\n${ROW.replace('true', 'yes')}`, `line 2: made_sla is 'yes'; it should be true or false`],
    ['time.csv', `${HEADER}\n${ROW.replace('2016-02-29T01:23', 'noon')}`, 'line 2: sys_updated_at'],
    ['number.csv', `${HEADER}\n${ROW.slice(7)}`, `line 2: number is ''`],
    ['unpacked.csv.gz', `${HEADER}\n${ROW}\n`, 'incorrect header check'],
    ['cut.csv.gz', gzipSync(`${HEADER}\n${ROW}\n`).subarray(0, -12), 'unexpected end of file'],
  ])('that cannot be read are told with file and line: %s', async (name, content, message) => {
    await expect(read(name, content)).rejects.toMatchObject({ name: 'DemoError' })
    await expect(read(name, content)).rejects.toThrow(`cannot read ${join(dir, name)}: `)
    await expect(read(name, content)).rejects.toThrow(message)
  })

  test('need a file that is there', async () => {
    await expect(openCsv(join(dir, 'nowhere.csv'))).rejects.toThrow(/^cannot read .*nowhere\.csv: ENOENT/)
  })
})

test('a read model that is not what the rows say is told by its first row that is another', () => {
  const right = {
    openByGroup: [{ group: '70', open: 2, unassigned: 0 }],
    openByAssignee: [],
    timeByPriority: [],
    timeByGroup: [],
    slaByPriority: [
      { priority: 1, met: 1, breached: 0 },
      { priority: 3, met: 4, breached: 2 },
    ],
  }
  const wrong = {
    ...right,
    openByGroup: [],
    slaByPriority: [right.slaByPriority[0]!, { priority: 3, met: 5, breached: 1 }],
  }
  expect(wrongReadModels(right, right)).toEqual([])
  expect(wrongReadModels(wrong, right)).toEqual([
    'openByGroup: row 1 is missing, and should be {"group":"70","open":2,"unassigned":0}',
    'slaByPriority: row 2 is {"priority":3,"met":5,"breached":1}, and should be {"priority":3,"met":4,"breached":2}',
  ])
})

test('arguments that make no sense are refused with what to do', () => {
  expect(() => readArguments(['--bogus'])).toThrow('--bogus')
  expect(() => readArguments(['rows.csv'])).toThrow('rows.csv')
  expect(() => readArguments(['--incidents', '0'])).toThrow('give a whole number from 1')
  expect(() => readArguments(['--seed', '1e3'])).toThrow('give a whole number from 0')
  expect(() => readArguments(['--input', 'rows.csv', '--seed', '3'])).toThrow('--input brings its own')
  expect(readArguments([])).toEqual({
    input: undefined,
    dataDir: undefined,
    incidents: 5000,
    seed: 1,
    isJson: false,
    isHelp: false,
  })
})

async function all(rows: AsyncIterable<Row>): Promise<Row[]> {
  const list: Row[] = []
  for await (const row of rows) list.push(row)
  return list
}

function sourceOf(rows: readonly Row[]): Source {
  return {
    name: 'rows',
    rows: ReadableStream.from(rows),
    fraction: () => 1,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Stops the run when it has taken so many rows. */
function stoppedAfter(source: Source, count: number, stop: AbortController): Source {
  async function* rows(): AsyncGenerator<Row> {
    let taken = 0
    for await (const row of source.rows) {
      if ((taken += 1) > count) stop.abort()
      yield row
    }
  }
  return { ...source, rows: rows() }
}
