/** Which Node Penhold runs on. Imports nothing, so that it can be asked before anything fails for want of a newer one. */

const MAJOR_MIN = 24

/** What to do where `version` (`process.version`) is too old; undefined where it is not. */
export function nodeTooOld(version: string): string | undefined {
  if (Number.parseInt(version.slice(1), 10) >= MAJOR_MIN) return undefined
  return `Penhold needs Node ${MAJOR_MIN}; this is ${version}. In a project: npm install --save-dev node@${MAJOR_MIN}, then npx node app.ts`
}
