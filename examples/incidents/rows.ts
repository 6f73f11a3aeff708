/**
 * Rows of the desk's event log, as a source of reports: read from a CSV file (plain, or gzipped where its name ends in
 * `.gz`) a piece at a time, so that a file of any size takes the same memory.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { parse } from 'csv-parse'
import { DemoError, messageOf } from './demo-error.ts'
import type { Opening } from './facts.ts'
import type { Report } from './rules.ts'

/** One update of an incident. Its place among the incident's rows is its number. */
export interface Row {
  /** Where it stands in its file, for messages. */
  readonly line: number
  /** The incident. */
  readonly number: string
  readonly updatedBy: string | null
  readonly opening: Opening
  readonly report: Omit<Report, 'update'>
}

/** Where rows come from, each incident's in the desk's order. */
export interface Source extends AsyncDisposable {
  readonly name: string
  readonly rows: AsyncIterable<Row>
  /** How much of it has been read, from 0 to 1. */
  fraction(): number
}

const COLUMNS = [
  'number',
  'incident_state',
  'sys_updated_at',
  'sys_updated_by',
  'reassignment_count',
  'reopen_count',
  'made_sla',
  'assignment_group',
  'assigned_to',
  'priority',
  'impact',
  'urgency',
  'category',
  'subcategory',
  'caller_id',
  'opened_by',
  'opened_at',
  'contact_type',
  'location',
  'knowledge',
] as const
/** Its form; `Date.parse` looks at its digits, but takes other forms too. */
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/
type Column = (typeof COLUMNS)[number]

/** What csv-parse makes of a line when it is asked for `info`. */
interface CsvRecord {
  readonly info: { readonly lines: number }
  readonly record: readonly string[]
}

/** @throws DemoError where the file cannot be read; its `rows` throw one where a row cannot */
export async function openCsv(path: string): Promise<Source> {
  try {
    const file = await open(path)
    const { size } = await file.stat()
    const input = file.createReadStream()
    return {
      name: path,
      rows: readRows(path, input),
      fraction: () => (size === 0 ? 1 : input.bytesRead / size),
      [Symbol.asyncDispose]: () => closeFile(file),
    }
  } catch (error) {
    throw new DemoError(`cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

async function* readRows(path: string, input: Readable): AsyncGenerator<Row> {
  const parser = parse({ bom: true, info: true })
  // The pipeline destroys the parser with whatever goes wrong before it, and so the loop below hears of it.
  const done = (): void => undefined
  if (path.endsWith('.gz')) pipeline(input, createGunzip(), parser, done)
  else pipeline(input, parser, done)
  try {
    let indexes: ReadonlyMap<Column, number> | undefined
    for await (const { info, record } of parser as AsyncIterable<CsvRecord>) {
      if (indexes === undefined) indexes = indexesOf(record)
      else yield toRow(new Cells(record, indexes), info.lines)
    }
    if (indexes === undefined) throw new DemoError('it is empty; its first line should name the columns')
  } catch (error) {
    throw new DemoError(`cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function indexesOf(header: readonly string[]): ReadonlyMap<Column, number> {
  const missing = COLUMNS.filter((column) => !header.includes(column))
  if (missing.length > 0) throw new DemoError(`line 1: there is no column ${missing.join(', ')}`)
  return new Map(COLUMNS.map((column) => [column, header.indexOf(column)]))
}

function toRow(cells: Cells, line: number): Row {
  try {
    return {
      line,
      number: cells.text('number'),
      updatedBy: cells.maybeText('sys_updated_by'),
      opening: { openedAt: cells.time('opened_at'), openedBy: cells.maybeText('opened_by') },
      report: {
        at: cells.time('sys_updated_at'),
        state: cells.text('incident_state'),
        group: cells.maybeText('assignment_group'),
        assignee: cells.maybeText('assigned_to'),
        impact: cells.whole('impact'),
        urgency: cells.whole('urgency'),
        priority: cells.whole('priority'),
        category: cells.maybeText('category'),
        subcategory: cells.maybeText('subcategory'),
        caller: cells.maybeText('caller_id'),
        contact: cells.maybeText('contact_type'),
        location: cells.maybeText('location'),
        hasKnowledge: cells.truth('knowledge'),
        reassignments: cells.whole('reassignment_count'),
        reopenings: cells.whole('reopen_count'),
        isWithinSla: cells.truth('made_sla'),
      },
    }
  } catch (error) {
    throw new DemoError(`line ${line}: ${messageOf(error)}`, { cause: error })
  }
}

/** The cells of one row, by column. */
class Cells {
  readonly #cells: readonly string[]
  readonly #indexes: ReadonlyMap<Column, number>

  constructor(cells: readonly string[], indexes: ReadonlyMap<Column, number>) {
    this.#cells = cells
    this.#indexes = indexes
  }

  maybeText(column: Column): string | null {
    return this.#at(column) || null
  }

  text(column: Column): string {
    return this.#at(column) || this.#fail(column, 'a text')
  }

  whole(column: Column): number {
    return /^\d{1,9}$/.test(this.#at(column)) ? Number(this.#at(column)) : this.#fail(column, 'a whole number')
  }

  truth(column: Column): boolean {
    const text = this.#at(column)
    return text === 'true' || (text !== 'false' && this.#fail(column, 'true or false'))
  }

  time(column: Column): string {
    const text = this.#at(column)
    return ISO_TIME.test(text) && !Number.isNaN(Date.parse(text)) ? text : this.#fail(column, 'an ISO time')
  }

  #at(column: Column): string {
    return this.#cells[this.#indexes.get(column)!]!
  }

  #fail(column: Column, expected: string): never {
    throw new DemoError(`${column} is '${this.#at(column)}'; it should be ${expected}`)
  }
}

/** The read stream closes its file at the end; one that was not read to the end is still open. */
async function closeFile(file: FileHandle): Promise<void> {
  if (file.fd !== -1) await file.close()
}
