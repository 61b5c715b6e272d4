/** What a guest says of itself, as far as it may: known labels, names of the agent's and guest's only, and no words of its own. */
import { GUEST, type Metric } from './catalogue.ts';
import type { Description, Families } from './family.ts';
import { GUEST_LIMITS, parseText, textOfLabels } from './parse.ts';

/** Labels that guests of ours and of Kata's have. None is one of SANDBOX_LABELS. */
const LABELS: ReadonlySet<string> = new Set([
  'item',
  'cpu',
  'interface',
  'disk',
  'mount',
  'device',
  'quantile',
  'version',
]);
const OWN_NAME = /^kata_(agent|guest)_[a-z][a-z0-9_]*$/;
/** Families that every Prometheus client has: Kata's shims put their agent's name before them. */
const CLIENT_NAME = /^(go|process)_[a-z][a-z0-9_]*$/;
const KNOWN: ReadonlyMap<string, Metric> = new Map(GUEST.map((metric) => [metric.name, metric]));

/**
 * Adds what the guest reports.
 * @param text whatever the guest sent
 * @returns how many lines of it were not taken
 */
export function addGuestText(families: Families, text: string): number {
  const descriptions = new Map<string, Description>();
  return parseText(text, GUEST_LIMITS, {
    sample(sampleName, labels, value) {
      const name = nameOf(sampleName);
      if (name === undefined) return false;
      for (const label of labels.keys()) if (!LABELS.has(label)) return false;
      let description = descriptions.get(name);
      if (!description) {
        if (descriptions.size >= GUEST_LIMITS.families) return false;
        description = KNOWN.get(name) ?? unknown(name);
        descriptions.set(name, description);
      }
      return families.add(description, textOfLabels(labels), value);
    },
  });
}

function nameOf(name: string): string | undefined {
  if (OWN_NAME.test(name)) return name;
  const renamed = `kata_agent_${name}`;
  return CLIENT_NAME.test(name) && renamed.length <= GUEST_LIMITS.name ? renamed : undefined;
}

/** A guest may know more than we do, and says it in numbers only. */
function unknown(name: string): Description {
  return { name, type: 'untyped', help: 'Reported by the guest' };
}
