/** What busctl makes of our call to systemd, read off a bus of the test's: there is no systemd to ask where tests run. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { thisHost } from '../../../host/resources/cgroup-host.ts';
import { scopeArguments } from '../../../host/resources/cgroup-systemd.ts';

const SASL_END = 'BEGIN\r\n';
const SASL_ANSWER = `DATA\r\nOK ${'0'.repeat(32)}\r\nAGREE_UNIX_FD\r\n`;
/** D-Bus header fields, "Header Fields" of its specification. */
const REPLY_SERIAL = 5;
const SIGNATURE = 8;

/** Answers every call of a client with one text, and keeps the bodies. */
function serve(socket: Socket, bodies: string[]): void {
  let bytes = Buffer.alloc(0);
  let greeted = false;
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (!greeted) {
      const end = bytes.indexOf(SASL_END);
      if (end < 0) return;
      greeted = true;
      bytes = bytes.subarray(end + SASL_END.length);
      socket.write(SASL_ANSWER);
    }
    while (bytes.length >= 16) {
      const body = 16 + Math.ceil(bytes.readUInt32LE(12) / 8) * 8;
      const length = body + bytes.readUInt32LE(4);
      if (bytes.length < length) return;
      bodies.push(bytes.subarray(16, length).toString('latin1'));
      socket.write(reply(bytes.readUInt32LE(8), bodies.length));
      bytes = bytes.subarray(length);
    }
  });
}

/** A method's return: the unique name for the first call (Hello), a job's path after it. */
function reply(serial: number, count: number): Buffer {
  const [type, text] = count === 1 ? ['s', ':1.1'] : ['o', '/org/freedesktop/systemd1/job/1'];
  const fields = Buffer.alloc(15);
  fields.set([REPLY_SERIAL, 1, 'u'.charCodeAt(0), 0]);
  fields.writeUInt32LE(serial, 4);
  fields.set([SIGNATURE, 1, 'g'.charCodeAt(0), 0, 1, type.charCodeAt(0), 0], 8);
  const body = Buffer.alloc(4 + text.length + 1);
  body.writeUInt32LE(text.length);
  body.write(text, 4);
  const header = Buffer.alloc(16);
  header.set(['l'.charCodeAt(0), 2, 0, 1]);
  header.writeUInt32LE(body.length, 4);
  header.writeUInt32LE(count, 8);
  header.writeUInt32LE(fields.length, 12);
  return Buffer.concat([header, fields, Buffer.alloc(1), body]);
}

const test = suite('a call to systemd');

if (spawnSync('busctl', ['--version']).status === 0) {
  test('busctl takes signature and properties', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kata-bus-'));
    const bodies: string[] = [];
    const server = createServer((socket) => serve(socket, bodies));
    await new Promise<void>((resolve) => server.listen(join(directory, 'bus'), resolve));
    const before = process.env.DBUS_SYSTEM_BUS_ADDRESS;
    process.env.DBUS_SYSTEM_BUS_ADDRESS = `unix:path=${join(directory, 'bus')}`;
    try {
      const unit = { slice: 'a-b.slice', sliceDirectory: '/a.slice/a-b.slice', scope: 'cri-containerd-x.scope' };
      await thisHost().callSystemd('StartTransientUnit', ...scopeArguments(unit, 'x', 4321));
    } finally {
      if (before === undefined) delete process.env.DBUS_SYSTEM_BUS_ADDRESS;
      else process.env.DBUS_SYSTEM_BUS_ADDRESS = before;
      server.close();
      rmSync(directory, { recursive: true });
    }
    const call = bodies.find((body) => body.includes('StartTransientUnit')) ?? '';
    for (const word of [
      'org.freedesktop.systemd1.Manager',
      'ssa(sv)a(sa(sv))',
      'cri-containerd-x.scope',
      'a-b.slice',
    ]) {
      assert.ok(call.includes(word), word);
    }
    const pid = Buffer.alloc(4);
    pid.writeUInt32LE(4321);
    assert.match(
      call.slice(call.indexOf('PIDs')),
      new RegExp(`^PIDs\\0\\x02au\\0.*${hexed(pid.toString('latin1'))}`, 's'),
    );
  });
}

function hexed(text: string): string {
  return [...text].map((character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
}

test.run();
