/** Keys that cannot both hold. */
import { KataError } from '../error.ts';
import type { Merged, Origin } from './files.ts';
import { keyOf } from './schema/schema.ts';
import { nameOf, placeOf, show } from './show.ts';

/** The same time in seconds and in milliseconds. */
const SECONDS_AND_MS = [['agent.kata', 'cdh_api_timeout', 'cdh_api_timeout_ms']] as const;
const MS_PER_S = 1000;

interface Named extends Origin {
  readonly name: string;
}

/**
 * Keys that say the same thing differently, or of which only one may be set.
 * @param merged of which every known key has a value of its type
 * @returns `invalid_argument` each, naming both places
 */
export function contradictions(merged: Merged): KataError[] {
  const get = (table: string, key: string): Named | undefined => {
    const origin = merged.get(table)?.get(key);
    return origin && { ...origin, name: nameOf(table, key) };
  };
  const found: KataError[] = [];
  const conflict = (one: Named, other: Named, why: string): void => {
    found.push(new KataError('invalid_argument', `${tell(one)}, and ${tell(other)}; ${why}`));
  };
  for (const [one, other] of spellings(merged, get))
    conflict(one, other, 'they are one setting, so remove one of them');
  for (const [table, seconds, ms] of SECONDS_AND_MS) {
    const [one, other] = [get(table, seconds), get(table, ms)];
    if (one && other && Number(one.value) * MS_PER_S !== Number(other.value)) {
      conflict(one, other, 'they are one setting, so remove one of them');
    }
  }
  const pull = get('runtime', 'experimental_force_guest_pull');
  const experimental = get('runtime', 'experimental');
  if (pull?.value === false && (experimental?.value as string[] | undefined)?.includes('force_guest_pull')) {
    conflict(pull, experimental as Named, 'they are one setting, so remove one of them');
  }
  for (const table of ['hypervisor.qemu', 'hypervisor.remote']) inHypervisor((key) => get(table, key), conflict);
  const [dial, reconnect] = [get('agent.kata', 'dial_timeout_ms'), get('agent.kata', 'reconnect_timeout_ms')];
  if (dial && reconnect && Number(reconnect.value) > 0 && Number(reconnect.value) < Number(dial.value)) {
    conflict(dial, reconnect, 'one attempt must not take longer than all of them');
  }
  return found;
}

function inHypervisor(
  get: (key: string) => Named | undefined,
  conflict: (one: Named, other: Named, why: string) => void,
): void {
  const [image, initrd] = [get('image'), get('initrd')];
  if (image && initrd && image.value !== '' && initrd.value !== '') {
    conflict(image, initrd, 'a guest has one of them: set the other to "" or remove it');
  }
  const [hot, cold] = [get('hot_plug_vfio'), get('cold_plug_vfio')];
  const port = (each: Named | undefined): boolean =>
    each !== undefined && !['', 'no-port'].includes(String(each.value));
  if (hot && cold && port(hot) && port(cold)) conflict(hot, cold, 'set one of them to "no-port"');
  const [vcpus, most] = [get('default_vcpus'), get('default_maxvcpus')];
  if (vcpus && most && Number(most.value) > 0 && Number(vcpus.value) > Number(most.value)) {
    conflict(vcpus, most, 'raise default_maxvcpus, or set it to 0 for as many as the host has');
  }
  const [memory, mostMemory] = [get('default_memory'), get('default_maxmemory')];
  if (memory && mostMemory && Number(mostMemory.value) > 0 && Number(memory.value) > Number(mostMemory.value)) {
    conflict(memory, mostMemory, 'raise default_maxmemory, or set it to 0 for as much as the host has');
  }
  const [logical, physical] = [get('block_device_logical_sector_size'), get('block_device_physical_sector_size')];
  if (logical && physical && Number(physical.value) > 0 && Number(logical.value) > Number(physical.value)) {
    conflict(logical, physical, 'a physical sector is not smaller than a logical one');
  }
}

/** Pairs of names of one setting, where both are set and say different things. An empty value says nothing. */
function spellings(
  merged: Merged,
  get: (table: string, key: string) => Named | undefined,
): [one: Named, other: Named][] {
  const pairs: [Named, Named][] = [];
  for (const [table, keys] of merged) {
    for (const key of keys.keys()) {
      const { alias, unit } = keyOf(table, key) ?? {};
      if (alias === undefined) continue;
      const dot = alias.lastIndexOf('.');
      const [aliasTable, aliasKey] = [alias.slice(0, dot), alias.slice(dot + 1)];
      // Seconds and milliseconds are compared elsewhere.
      if (keyOf(aliasTable, aliasKey)?.unit !== unit) continue;
      const [one, other] = [get(table, key), get(aliasTable, aliasKey)];
      if (!one || !other || one.value === '' || other.value === '' || show(one.value) === show(other.value)) continue;
      // Each pair is met from both sides.
      if (!pairs.some(([first, second]) => first.name === other.name && second.name === one.name)) {
        pairs.push([one, other]);
      }
    }
  }
  return pairs;
}

function tell(origin: Named): string {
  return `${placeOf(origin)}: ${origin.name} is ${show(origin.value)}`;
}
