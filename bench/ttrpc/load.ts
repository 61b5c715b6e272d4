/** `load SOCKET`: answers each line `METHOD IN-FLIGHT BYTES MILLISECONDS` of its input with one of calls and seconds. */
import { createInterface } from 'node:readline';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { EchoService, SERVICE } from './echo.ts';

const payload = new Uint8Array(1 << 20);
const client = await TtrpcClient.connect(process.argv[2] ?? '');

/** One call each; the answer's length is what was asked for. */
const METHODS: Readonly<Record<string, (size: number) => Promise<number>>> = {
  Echo: async (size) => {
    const request = { value: payload.subarray(0, size) };
    return (await client.call(SERVICE, 'Echo', EchoService.Echo, request)).value.length;
  },
  Write: async (size) => {
    await client.call(SERVICE, 'Write', EchoService.Write, { value: payload.subarray(0, size) });
    return size;
  },
  Read: async (size) => (await client.call(SERVICE, 'Read', EchoService.Read, { value: size })).value.length,
};

process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const [method = '', ...numbers] = line.split(' ');
  const [workers = 1, size = 0, ms = 0] = numbers.map(Number);
  const call = METHODS[method];
  if (!call) throw new Error(`no method ${method}`);
  process.stdout.write(`${(await run(call, workers, size, ms)).join(' ')}\n`);
}

async function run(
  call: (size: number) => Promise<number>,
  workers: number,
  size: number,
  ms: number,
): Promise<[calls: number, seconds: number]> {
  let stop = false;
  let calls = 0;
  const since = performance.now();
  setTimeout(() => {
    stop = true;
  }, ms);
  const worker = async (): Promise<void> => {
    while (!stop) {
      const got = await call(size);
      if (got !== size) throw new Error(`an answer of ${got} bytes where ${size} were asked for`);
      calls++;
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return [calls, (performance.now() - since) / 1000];
}
