/** The port to chance. */
export interface Random {
  /** Fills the array with unpredictable bytes. */
  fill(bytes: Uint8Array): void
}
