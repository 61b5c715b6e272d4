/** Where this room writes what went otherwise than expected. */
type Fields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface NetworkLog {
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
}
