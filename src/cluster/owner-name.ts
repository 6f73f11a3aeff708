/** The names of those who own shards, among routes and in rings: a worker of a member. */

export interface Owner {
  readonly member: string
  readonly worker: number
}

/** What a member's worker is called among the routes. */
export function ownerName(member: string, worker: number): string {
  return `${member}/${worker}`
}

/** What `ownerName` made. */
export function parseOwner(owner: string): Owner {
  const at = owner.lastIndexOf('/')
  return { member: owner.slice(0, at), worker: Number(owner.slice(at + 1)) }
}
