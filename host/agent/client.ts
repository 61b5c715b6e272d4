/** Calls to the guest agent, each with its deadline. The guest is hostile: whatever it answers is bounded by the codec. */
import { KataError } from '../error.ts';
import { Durations } from '../metrics/durations.ts';
import { type Init, type MessageType, message } from '../proto/codec.ts';
import * as agent from '../proto/messages/agent.ts';
import { type ConsoleOpenRequest, ConsoleService, ConsoleServiceName } from '../proto/messages/console.ts';
import type { VolumeStatsResponse } from '../proto/messages/csi.ts';
import { ExtensionService, ExtensionServiceName } from '../proto/messages/extension.ts';
import { ForwardService, ForwardServiceName } from '../proto/messages/forward.ts';
import { HealthCheckResponse_ServingStatus, HealthService, HealthServiceName } from '../proto/messages/health.ts';
import type { ARPNeighbor, Interface, Route } from '../proto/messages/types.ts';
import type { CallOptions, Client, Method } from '../ttrpc/types.ts';
import { OutputPieces, outputOf } from './output.ts';

/** Deadline of the first Health.Check, ms: the guest is up, its agent may still be starting. */
export const CHECK_TIMEOUT_MS = 30_000;
/** Deadline of a call that has none of its own, ms. */
export const CALL_TIMEOUT_MS = 60_000;
/** Deadline of CreateContainer, ms, unless the configuration names one. */
export const CREATE_CONTAINER_TIMEOUT_MS = 60_000;
/** Deadline of calls a Kill waits for, ms: beyond it the caller escalates. */
export const SIGNAL_TIMEOUT_MS = 15_000;
/** Deadline of Stats and of a termination message, ms: containerd itself waits 2 s for its own metrics. */
export const STATS_TIMEOUT_MS = 10_000;
/** Deadline of one call that sets up the guest's network, ms. */
export const NETWORK_TIMEOUT_MS = 15_000;
/** Deadline of calls that people make, for whom a guest starts programs or grows a file system, ms. */
export const OPERATION_TIMEOUT_MS = 30_000;
/** Deadline of RemoveContainer and DestroySandbox, ms. */
export const REMOVE_TIMEOUT_MS = 20_000;

/** CreateContainerRequest whose OCI spec is bytes already: the translation writes them itself. */
export interface CreateContainer {
  container_id: string;
  exec_id: string;
  devices: agent.Device[];
  storages: agent.Storage[];
  /** An encoded `grpc.Spec`. */
  OCI: Uint8Array;
  sandbox_pidns: boolean;
  shared_mounts: agent.SharedMount[];
}

const CreateContainer: MessageType<CreateContainer> = message<CreateContainer>('grpc.CreateContainerRequest', () => [
  [1, 'container_id', 'string'],
  [2, 'exec_id', 'string'],
  [4, 'devices', agent.Device, 'repeated'],
  [5, 'storages', agent.Storage, 'repeated'],
  // A message field and a bytes field are the same on the wire.
  [6, 'OCI', 'bytes'],
  [7, 'sandbox_pidns', 'bool'],
  [8, 'shared_mounts', agent.SharedMount, 'repeated'],
]);

const SERVICE = agent.AgentServiceServiceName;
const METHODS = agent.AgentServiceService;

/** Names one process in the guest. */
export interface ProcessRef {
  readonly container_id: string;
  /** Empty: the container as a whole (Signal 9: every process; else its init). */
  readonly exec_id: string;
}

export class AgentClient {
  /** How long calls took, by the name of their request, as Kata names them. Those of output and input are not counted. */
  readonly durations = new Durations();
  /** Told of each call of grpc.AgentService that has been answered. Absent: nobody wants to know. */
  onCall: ((name: string, container: string, began: number, failure: unknown) => void) | undefined;

  /** @param client one connection; its owner closes it by `close` */
  constructor(private readonly client: Client) {}

  /** Settles when the connection is gone, with the reason. Never rejects. */
  get closed(): Promise<Error | undefined> {
    return this.client.closed;
  }

  close(reason: string): void {
    this.client.close(reason);
  }

  /** @throws KataError `unavailable` when the agent answers that it does not serve */
  async check(timeoutMs: number = CHECK_TIMEOUT_MS): Promise<void> {
    const method = HealthService.Check;
    const { status } = await this.client.call(HealthServiceName, 'Check', method, { service: '' }, { timeoutMs });
    if (status !== HealthCheckResponse_ServingStatus.SERVING) {
      throw new KataError('unavailable', `the guest agent answers that it is not serving (status ${status})`);
    }
  }

  async createSandbox(request: Init<agent.CreateSandboxRequest>): Promise<void> {
    await this.call('CreateSandbox', METHODS.CreateSandbox, request);
  }

  async destroySandbox(timeoutMs: number = REMOVE_TIMEOUT_MS): Promise<void> {
    await this.call('DestroySandbox', METHODS.DestroySandbox, {}, { timeoutMs });
  }

  guestDetails(): Promise<agent.GuestDetailsResponse> {
    const request = { mem_block_size: true, mem_hotplug_probe: true };
    return this.call('GetGuestDetails', METHODS.GetGuestDetails, request);
  }

  /** @param now milliseconds since the epoch */
  async setDateTime(now: number): Promise<void> {
    const sec = Math.floor(now / 1000);
    const request = { Sec: sec, Usec: Math.round((now - sec * 1000) * 1000) };
    await this.call('SetGuestDateTime', METHODS.SetGuestDateTime, request);
  }

  async reseedRandom(data: Uint8Array): Promise<void> {
    await this.call('ReseedRandomDev', METHODS.ReseedRandomDev, { data });
  }

  /** Gives an interface its name, addresses and MTU. Kata's agent answers before its device is there: see `isLinkMissing`. */
  async updateInterface(description: Init<Interface>): Promise<void> {
    const options = { timeoutMs: NETWORK_TIMEOUT_MS };
    await this.call('UpdateInterface', METHODS.UpdateInterface, { interface: description }, options);
  }

  /** @param routes all there are to be */
  async updateRoutes(routes: readonly Init<Route>[]): Promise<void> {
    const request = { routes: { Routes: [...routes] } };
    await this.call('UpdateRoutes', METHODS.UpdateRoutes, request, { timeoutMs: NETWORK_TIMEOUT_MS });
  }

  async addArpNeighbors(neighbors: readonly Init<ARPNeighbor>[]): Promise<void> {
    const request = { neighbors: { ARPNeighbors: [...neighbors] } };
    await this.call('AddARPNeighbors', METHODS.AddARPNeighbors, request, { timeoutMs: NETWORK_TIMEOUT_MS });
  }

  async createContainer(request: Init<CreateContainer>, timeoutMs: number): Promise<void> {
    const method = [CreateContainer, METHODS.CreateContainer[1]] as const;
    await this.call('CreateContainer', method, request, { timeoutMs });
  }

  async startContainer(containerId: string): Promise<void> {
    await this.call('StartContainer', METHODS.StartContainer, { container_id: containerId });
  }

  async removeContainer(containerId: string): Promise<void> {
    const request = { container_id: containerId, timeout: 0 };
    await this.call('RemoveContainer', METHODS.RemoveContainer, request, { timeoutMs: REMOVE_TIMEOUT_MS });
  }

  async execProcess(request: Init<agent.ExecProcessRequest>): Promise<void> {
    await this.call('ExecProcess', METHODS.ExecProcess, request);
  }

  async signal(process: ProcessRef, signal: number): Promise<void> {
    const options = { timeoutMs: SIGNAL_TIMEOUT_MS };
    await this.call('SignalProcess', METHODS.SignalProcess, { ...process, signal }, options);
  }

  /** No deadline: it answers when the process ends. */
  async wait(process: ProcessRef): Promise<number> {
    return (await this.call('WaitProcess', METHODS.WaitProcess, process, { timeoutMs: 0 })).status;
  }

  async updateContainer(containerId: string, resources: agent.UpdateContainerRequest['resources']): Promise<void> {
    await this.call('UpdateContainer', METHODS.UpdateContainer, { container_id: containerId, resources });
  }

  /** Writes one piece of a file into the guest, or makes a directory or link there. */
  async copyFile(request: Init<agent.CopyFileRequest>): Promise<void> {
    await this.call('CopyFile', METHODS.CopyFile, request);
  }

  stats(containerId: string, timeoutMs: number = STATS_TIMEOUT_MS): Promise<agent.StatsContainerResponse> {
    return this.call('StatsContainer', METHODS.StatsContainer, { container_id: containerId }, { timeoutMs });
  }

  /** What a container has written into its termination message; empty: nothing. @throws KataError `not_found` without such a file */
  async terminationMessage(containerId: string): Promise<string> {
    const request = { container_id: containerId, log_type: 'termination_log' };
    const options = { timeoutMs: STATS_TIMEOUT_MS };
    return (await this.call('GetDiagnosticData', METHODS.GetDiagnosticData, request, options)).data;
  }

  async pause(containerId: string): Promise<void> {
    await this.call('PauseContainer', METHODS.PauseContainer, { container_id: containerId });
  }

  async resume(containerId: string): Promise<void> {
    await this.call('ResumeContainer', METHODS.ResumeContainer, { container_id: containerId });
  }

  async resize(process: ProcessRef, row: number, column: number): Promise<void> {
    await this.call('TtyWinResize', METHODS.TtyWinResize, { ...process, row, column });
  }

  async closeStdin(process: ProcessRef): Promise<void> {
    await this.call('CloseStdin', METHODS.CloseStdin, process);
  }

  /**
   * No deadline: a process that does not read its stdin may hold the answer for as long as it likes.
   * @returns how many bytes the process took
   */
  async writeStdin(process: ProcessRef, data: Uint8Array): Promise<number> {
    const request = { ...process, data };
    return (await this.client.call(SERVICE, 'WriteStdin', METHODS.WriteStdin, request, { timeoutMs: 0 })).len;
  }

  /**
   * Waits for output.
   * @param length most bytes wanted
   * @param onData gets a view that is valid only until it returns; empty: end of file
   * @throws KataError `data_loss` for an answer that is no ReadStreamResponse, or longer than asked for
   */
  read<Out>(
    stream: 'ReadStdout' | 'ReadStderr',
    process: ProcessRef,
    length: number,
    onData: (data: Uint8Array) => Out,
  ): Promise<Out> {
    const request = { ...process, len: length };
    const onPayload = (payload: Uint8Array): Out => onData(outputOf(stream, payload, length));
    return this.client.callView(SERVICE, stream, METHODS[stream][0], request, onPayload, { timeoutMs: 0 });
  }

  /**
   * Waits for output, and hands it over as it arrives: a large answer is never kept until it is complete.
   * @param length most bytes wanted
   * @param onPiece gets a view that is valid only until it returns, never an empty one
   * @returns the bytes of all pieces; 0: end of file
   * @throws KataError `data_loss` as `read` does; what was handed over before has been written by the process all the same
   */
  readPieces(
    stream: 'ReadStdout' | 'ReadStderr',
    process: ProcessRef,
    length: number,
    onPiece: (data: Uint8Array) => void,
  ): Promise<number> {
    const request = { ...process, len: length };
    const pieces = new OutputPieces(length, onPiece);
    const options = { timeoutMs: 0, onPart: pieces.begin };
    const onPayload = (payload: Uint8Array): number => {
      if (payload.length > 0) pieces.piece(outputOf(stream, payload, length));
      return pieces.bytes;
    };
    return this.client.callView(SERVICE, stream, METHODS[stream][0], request, onPayload, options);
  }

  /**
   * Connects to a TCP port of the guest. The connection is read and written as a process of no container (`container_id`
   * empty, `exec_id` the id).
   * @throws KataError `unavailable` when nothing listens, `unimplemented` by Kata's agent
   */
  async openForward(id: string, port: number): Promise<void> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    await this.client.call(ForwardServiceName, 'Open', ForwardService.Open, { exec_id: id, port }, options);
  }

  /** Ends such a connection. Idempotent. */
  async closeForward(id: string): Promise<void> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    await this.client.call(ForwardServiceName, 'Close', ForwardService.Close, { exec_id: id }, options);
  }

  /** The agent's and the guest's metrics, in Prometheus' text format; not to be believed. */
  async metrics(timeoutMs: number = STATS_TIMEOUT_MS): Promise<string> {
    return (await this.call('GetMetrics', METHODS.GetMetrics, {}, { timeoutMs })).metrics;
  }

  /** @param guestPath where the volume is mounted. @throws KataError `not_found` */
  volumeStats(guestPath: string): Promise<VolumeStatsResponse> {
    const options = { timeoutMs: STATS_TIMEOUT_MS };
    return this.call('GetVolumeStats', METHODS.GetVolumeStats, { volume_guest_path: guestPath }, options);
  }

  /**
   * Has a mounted file system grow.
   * @param size bytes
   * @throws KataError `unimplemented` by agents that cannot, Kata's among them
   */
  async resizeVolume(guestPath: string, size: number): Promise<void> {
    const request = { volume_guest_path: guestPath, size };
    await this.call('ResizeVolume', METHODS.ResizeVolume, request, { timeoutMs: OPERATION_TIMEOUT_MS });
  }

  /**
   * Has our own agent add the files of an archive to the guest's.
   * @param device the disk that holds it, by its PCI path
   * @throws KataError `unimplemented` by Kata's agent
   */
  async addExtension(device: string): Promise<void> {
    const options = { timeoutMs: OPERATION_TIMEOUT_MS };
    await this.client.call(ExtensionServiceName, 'Add', ExtensionService.Add, { device }, options);
  }

  /** The guest's packet filter rules, as iptables-save writes them; not to be believed. */
  async ipTables(ipv6: boolean): Promise<Uint8Array> {
    const options = { timeoutMs: OPERATION_TIMEOUT_MS };
    return (await this.call('GetIPTables', METHODS.GetIPTables, { is_ipv6: ipv6 }, options)).data;
  }

  /** @param rules as iptables-restore reads them */
  async setIpTables(ipv6: boolean, rules: Uint8Array): Promise<void> {
    const request = { is_ipv6: ipv6, data: rules };
    await this.call('SetIPTables', METHODS.SetIPTables, request, { timeoutMs: OPERATION_TIMEOUT_MS });
  }

  /** @param policy a document in Rego. @throws KataError `unimplemented` by agents without a policy engine */
  async setPolicy(policy: string): Promise<void> {
    await this.call('SetPolicy', METHODS.SetPolicy, { policy }, { timeoutMs: OPERATION_TIMEOUT_MS });
  }

  /**
   * A shell in the guest itself, or a command (`args`). It is read and written as a process of no container, as a connection is.
   * @throws KataError `permission_denied` where the kernel command line does not allow it, `unimplemented` by Kata's agent
   */
  async openConsole(request: Init<ConsoleOpenRequest>): Promise<void> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    await this.client.call(ConsoleServiceName, 'Open', ConsoleService.Open, request, options);
  }

  async resizeConsole(id: string, rows: number, columns: number): Promise<void> {
    const request = { exec_id: id, rows, columns };
    await this.client.call(ConsoleServiceName, 'Resize', ConsoleService.Resize, request, {
      timeoutMs: CALL_TIMEOUT_MS,
    });
  }

  /** No deadline: the status of its end. */
  async waitConsole(id: string): Promise<number> {
    const request = { exec_id: id };
    return (await this.client.call(ConsoleServiceName, 'Wait', ConsoleService.Wait, request, { timeoutMs: 0 })).status;
  }

  /** Ends it, if it still runs. Idempotent. */
  async closeConsole(id: string): Promise<void> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    await this.client.call(ConsoleServiceName, 'Close', ConsoleService.Close, { exec_id: id }, options);
  }

  /** Waits until a container runs out of memory; no deadline. */
  async oomEvent(): Promise<string> {
    return (await this.call('GetOOMEvent', METHODS.GetOOMEvent, {}, { timeoutMs: 0 })).container_id;
  }

  private async call<Req, Res>(
    name: string,
    method: Method<Req, Res>,
    request: Init<Req>,
    options: CallOptions = { timeoutMs: CALL_TIMEOUT_MS },
  ): Promise<Res> {
    const began = performance.now();
    let failure: unknown;
    try {
      return await this.client.call(SERVICE, name, method, request, options);
    } catch (thrown) {
      failure = thrown;
      if (thrown instanceof KataError && thrown.code === 'deadline_exceeded') {
        const seconds = (options.timeoutMs ?? 0) / 1000;
        throw new KataError('deadline_exceeded', `the guest agent did not answer ${name} within ${seconds} s`, {
          cause: thrown,
        });
      }
      throw thrown;
    } finally {
      this.durations.record(method[0].name, performance.now() - began);
      this.onCall?.(name, (request as { container_id?: string }).container_id ?? '', began, failure);
    }
  }
}
