/** Settings as a document. */
import { escapeInQuotes, jsonText } from '../output.ts';

/** @returns TOML or JSON without anything that a terminal obeys */
export async function settingsText(settings: object, asJson: boolean): Promise<string> {
  if (asJson) return `${jsonText(settings)}\n`;
  const { stringify } = await import('smol-toml');
  return escapeInQuotes(`${stringify(settings)}\n`, true);
}
