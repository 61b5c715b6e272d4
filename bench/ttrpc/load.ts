/** `load SOCKET`: answers each line `METHOD IN-FLIGHT BYTES MILLISECONDS` of its input with one of calls and seconds. */
import { createInterface } from 'node:readline';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { EchoService, SERVICE } from './echo.ts';

const payload = new Uint8Array(1 << 20);
const client = await TtrpcClient.connect(process.argv[2] ?? '');

let stop = false;

/** Calls until told to stop, one after the other. @returns how many */
const METHODS: Readonly<Record<string, (size: number) => Promise<number>>> = {
  Echo: async (size) => {
    const request = { value: payload.subarray(0, size) };
    let calls = 0;
    for (; !stop; calls++) check((await client.call(SERVICE, 'Echo', EchoService.Echo, request)).value, size);
    return calls;
  },
  Write: async (size) => {
    const request = { value: payload.subarray(0, size) };
    let calls = 0;
    for (; !stop; calls++) await client.call(SERVICE, 'Write', EchoService.Write, request);
    return calls;
  },
  Read: async (size) => {
    let calls = 0;
    for (; !stop; calls++) check((await client.call(SERVICE, 'Read', EchoService.Read, { value: size })).value, size);
    return calls;
  },
};

process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const [method = '', ...numbers] = line.split(' ');
  const [workers = 1, size = 0, ms = 0] = numbers.map(Number);
  const worker = METHODS[method];
  if (!worker) throw new Error(`no method ${method}`);
  stop = false;
  const since = performance.now();
  setTimeout(() => {
    stop = true;
  }, ms);
  const calls = await Promise.all(Array.from({ length: workers }, () => worker(size)));
  const seconds = (performance.now() - since) / 1000;
  process.stdout.write(`${calls.reduce((sum, count) => sum + count)} ${seconds}\n`);
}

function check({ length }: Uint8Array, size: number): void {
  if (length !== size) throw new Error(`an answer of ${length} bytes where ${size} were asked for`);
}
