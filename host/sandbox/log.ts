/** Where the sandbox reports what it does; host/shim writes it to containerd's fifo. */

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Somewhere to report to. Never throws, never waits. */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}
