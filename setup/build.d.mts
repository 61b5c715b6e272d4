export interface HostTarget {
  readonly version?: string;
  readonly node?: string;
  readonly cc?: string;
}
export function buildHost(output?: string, target?: HostTarget): Promise<void>;
