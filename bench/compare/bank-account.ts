/** The one aggregate every peer runs: a bank account, as a pure decide and evolve. */

export type AccountCommand = {
  readonly type: 'open' | 'deposit' | 'withdraw'
  readonly amount: number
  readonly reference: string
}

export type AccountEvent = {
  readonly type: 'AccountOpened' | 'MoneyDeposited' | 'MoneyWithdrawn'
  readonly data: {
    readonly amount: number
    readonly reference: string
    readonly channel: string
    readonly time: string
  }
}

export type Account = { readonly isOpen: boolean; readonly balance: number }

export const unopenedAccount: Account = { isOpen: false, balance: 0 }

/** Gives the event that the command leads to, about 150 bytes as JSON, or nothing where it is rejected. */
export function decide(account: Account, command: AccountCommand): AccountEvent | undefined {
  switch (command.type) {
    case 'open':
      return account.isOpen ? undefined : eventOf('AccountOpened', command)
    case 'deposit':
      return account.isOpen ? eventOf('MoneyDeposited', command) : undefined
    case 'withdraw':
      return account.isOpen && account.balance >= command.amount ? eventOf('MoneyWithdrawn', command) : undefined
  }
}

export function evolve(account: Account, event: AccountEvent): Account {
  switch (event.type) {
    case 'AccountOpened':
      return { isOpen: true, balance: event.data.amount }
    case 'MoneyDeposited':
      return { isOpen: true, balance: account.balance + event.data.amount }
    case 'MoneyWithdrawn':
      return { isOpen: true, balance: account.balance - event.data.amount }
  }
}

function eventOf(type: AccountEvent['type'], { amount, reference }: AccountCommand): AccountEvent {
  return { type, data: { amount, reference, channel: 'mobile', time: new Date().toISOString() } }
}
