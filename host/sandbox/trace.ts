/** Whoever follows the start of a sandbox and its containers; host/tracing does, where traces are wanted. */
export interface Trace {
  /**
   * Follows a step of a container's start.
   * @param owner whether the sandbox lives as long as this container
   * @returns what `act` returns, or throws
   */
  container<T>(id: string, step: 'create' | 'start', owner: boolean, act: () => Promise<T>): Promise<T>;
  /**
   * The agent was asked for something.
   * @param container that it was about; empty: none
   * @param began performance.now()
   * @param failure undefined: it was done
   */
  call(name: string, container: string, began: number, failure: unknown): void;
  /** The sandbox has started, by itself or with its first container, or has not. Later calls change nothing. */
  started(failure?: unknown): void;
}
