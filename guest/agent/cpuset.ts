/**
 * Processors and memory nodes a container is bound to. The numbers are the host's; what they stand for in the guest is
 * another thing, so they are fitted to what the guest has, and never refused for not being there.
 */
import { AgentError } from './error.ts';

/** Highest number in a list, as large as any kernel is built for. */
export const MAX_NUMBER = 8191;

/**
 * A list as the kernel writes it (`0-3,8`) as numbers in order.
 * @throws AgentError invalid_argument for other text and numbers beyond MAX_NUMBER
 */
export function parseList(text: string): number[] {
  const out = new Set<number>();
  for (const part of text.trim().split(',')) {
    if (part.trim() === '') continue;
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? first);
    if (!match || last < first || last > MAX_NUMBER) {
      throw new AgentError(
        'invalid_argument',
        `cpuset ${JSON.stringify(text)}: no list of numbers up to ${MAX_NUMBER}`,
      );
    }
    for (let number = first; number <= last; number++) out.add(number);
  }
  return [...out].sort((a, b) => a - b);
}

/** Numbers as a list the kernel reads. */
export function formatList(numbers: readonly number[]): string {
  return numbers.join(',');
}

/**
 * Processors of the guest for those the host named: the same where the guest has them all. Otherwise as many as were named,
 * as far as there are; spread by number, so that containers bound apart on the host stay apart where there is room.
 * @param wanted list of the host
 * @param online list of the guest's processors
 */
export function fitCpus(wanted: string, online: string): string {
  const named = parseList(wanted);
  const present = parseList(online);
  if (named.length === 0 || present.length === 0) return '';
  if (named.every((number) => present.includes(number))) return formatList(named);
  const chosen = new Set(named.map((number) => present[number % present.length] as number));
  for (const number of present) {
    if (chosen.size >= Math.min(named.length, present.length)) break;
    chosen.add(number);
  }
  return formatList([...chosen].sort((a, b) => a - b));
}

/** Memory nodes: those the guest has of the named ones; empty (all) where it has none of them. */
export function fitMems(wanted: string, online: string): string {
  const present = parseList(online);
  return formatList(parseList(wanted).filter((number) => present.includes(number)));
}
