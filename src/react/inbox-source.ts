/** The port to where an inbox takes messages from: a row of them, in order, that others append to. */

/** A message of somebody else's. */
export interface InboxMessage {
  /** Its place among the others; never given twice. */
  readonly id: string
  readonly fields: Readonly<Record<string, string>>
}

/** How far an inbox has come. */
export interface InboxPlace {
  /** Of the last message. */
  readonly id: string
  /** How many there were up to it, since the beginning of the row. */
  readonly count: number
}

/** What comes behind a place. */
export interface InboxPage {
  readonly messages: readonly InboxMessage[]
  /** Behind these. */
  readonly place: InboxPlace
  /** So many were removed before they were read. */
  readonly lost: number
  /**
   * The next message where it is larger than a message may be: it is not among these, and the inbox goes no further than it. Left out
   * where it is not.
   */
  readonly tooLarge?: { readonly id: string; readonly bytes: number; readonly bytesMax: number } | undefined
  /** What may be missing beyond that, where it is not known: for people, told once. Left out where nothing may. */
  readonly problem?: string | undefined
}

/** Others add messages, of any size: a page has no more bytes than this, or one message alone. */
export const PAGE_BYTES_MAX: number = 4 * 1024 * 1024
/** A message with more is not read. */
export const MESSAGE_BYTES_MAX: number = 16 * 1024 * 1024
/** So much each name and value of a message takes in memory beside its own bytes, about: it counts among the message's bytes. */
export const WORD_BYTES = 64

/** Where messages come from. Made once by a config, and opened by the node that runs the inbox. */
export interface InboxSource {
  /** Part of the ids of commands: never change it. */
  readonly name: string
  /** Connects when it has to, not before. */
  open(): OpenInboxSource
}

export interface OpenInboxSource {
  /** Behind the last that there is now, or before the first. */
  place(where: 'now' | 'beginning'): Promise<InboxPlace>
  /**
   * What there is behind a place, of that many messages at most, and fewer where they are large, as all of a page is in memory. Where there
   * is nothing it may wait, a second about; one that does not is asked again twenty times a second.
   */
  read(after: InboxPlace, limit: number): Promise<InboxPage>
  /** Lets go of everything; what is under way fails. It is waited for for a second; where it fails, a warning says so. */
  close(): Promise<void>
}
