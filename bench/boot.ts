/**
 * Boots the default guest with a bare QEMU, again and again, and measures from QEMU's exec to the answer of Health.Check.
 * `node --import tsx bench/boot.ts [BOOTS]`. Ends with status 1 if a boot hangs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from '../host/proto/codec.ts';
import { CheckRequest, HealthCheckResponse } from '../host/proto/messages/health.ts';
import { Request, Response } from '../host/proto/messages/ttrpc.ts';
import { BUILD } from '../setup/paths.ts';

const BOOTS = 7;
/** A boot that takes longer hangs, milliseconds. */
const HUNG_MS = 30_000;
const MEMORY_MIB = 256;
const HEADER_BYTES = 10;
const CONSOLE_TAIL_CHARS = 2000;
const GUEST = join(BUILD, 'share', 'guest', 'amd64');
const CMDLINE =
  'console=ttyS0 quiet loglevel=1 panic=-1 reboot=t cryptomgr.notests lsm= noreplace-smp swiotlb=noforce random.trust_cpu=on';

const boots = Number(process.argv[2] ?? BOOTS);
const times: number[] = [];
for (let i = 0; i < boots; i++) times.push(await boot());
times.sort((a, b) => a - b);
const at = (part: number) => `${((times[Math.floor((times.length - 1) * part)] as number) / 1000).toFixed(3)} s`;
process.stdout.write(`${boots} boots: min ${at(0)}, median ${at(0.5)}, max ${at(1)}\n`);

/** Milliseconds until Health.Check was answered. */
async function boot(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'kata-boot-'));
  const server = createServer();
  let qemu: ChildProcess | undefined;
  try {
    await new Promise<void>((done) => server.listen(join(directory, 'agent.sock'), done));
    const connected = new Promise<Socket>((done) => server.once('connection', done));
    const since = performance.now();
    qemu = spawn('qemu-system-x86_64', qemuArguments(directory), { stdio: ['ignore', 'inherit', 'inherit'] });
    const answered = connected.then((socket) => check(socket)).then(() => performance.now() - since);
    return await Promise.race([answered, failure(qemu, directory)]);
  } finally {
    if (qemu && qemu.exitCode === null && qemu.signalCode === null) {
      const gone = new Promise((done) => qemu?.once('exit', done));
      qemu.kill('SIGKILL');
      await gone;
    }
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

function qemuArguments(directory: string): string[] {
  return [
    ...['-M', 'q35,accel=tcg,memory-backend=mem', '-cpu', 'max', '-smp', '1', '-m', `${MEMORY_MIB}M`],
    ...['-object', `memory-backend-memfd,id=mem,size=${MEMORY_MIB}M,share=on`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(GUEST, 'vmlinux'), '-initrd', join(GUEST, 'initramfs.cpio.gz'), '-append', CMDLINE],
    ...['-serial', `file:${join(directory, 'console.log')}`],
    ...['-chardev', `socket,id=ch0,path=${join(directory, 'agent.sock')}`],
    ...['-device', 'virtio-serial-pci,id=vs0', '-device', 'virtserialport,bus=vs0.0,chardev=ch0,name=agent'],
  ];
}

/** Asks once; the request waits in the port until the agent reads it. */
function check(socket: Socket): Promise<void> {
  const payload = encode(CheckRequest, {});
  const data = encode(Request, { service: 'grpc.Health', method: 'Check', payload });
  const frame = Buffer.alloc(HEADER_BYTES + data.length);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(1, 4);
  frame[8] = 1;
  frame.set(data, HEADER_BYTES);
  socket.write(frame);
  return new Promise((done, fail) => {
    let got = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < HEADER_BYTES || got.length < HEADER_BYTES + got.readUInt32BE(0)) return;
      const response = decode(Response, got.subarray(HEADER_BYTES, HEADER_BYTES + got.readUInt32BE(0)));
      const { status } = decode(HealthCheckResponse, response.payload);
      if (status === 1) done();
      else fail(new Error(`Health.Check answered ${status}: ${response.status?.message}`));
    });
  });
}

/** Rejects when QEMU ends, or nothing comes for HUNG_MS. */
async function failure(qemu: ChildProcess, directory: string): Promise<never> {
  let timer: NodeJS.Timeout | undefined;
  const what = await new Promise<string>((done) => {
    timer = setTimeout(() => done(`no answer within ${HUNG_MS} ms`), HUNG_MS).unref();
    qemu.once('exit', (code, signal) => done(`QEMU ended with ${signal ?? code}`));
  });
  clearTimeout(timer);
  const text = await readFile(join(directory, 'console.log'), 'latin1').catch(() => '');
  throw new Error(`${what}; the console's end:\n${text.slice(-CONSOLE_TAIL_CHARS)}`);
}
