/** Wrong input gives one clear error and leaves nothing: through containerd where it lets it pass, else straight to the shim. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cpio } from '../../guest/image/cpio.ts';
import { reasonOf } from '../../host/error.ts';
import { eachContainerd, IS_KATA, testedVersions } from '../harness/containerd.ts';
import { ShimPlace } from '../harness/shim.ts';

if (IS_KATA) {
  throughContainerd();
  straight();
}

/** Configurations that cannot work. */
function throughContainerd(): void {
  const directory = mkdtempSync('/tmp/ke-bad-');
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const file = (name: string, text: string | Buffer) => {
    writeFileSync(`${directory}/${name}`, text);
    return `${directory}/${name}`;
  };
  // One containerd is enough for what the shim alone decides.
  const newest = testedVersions().slice(-1);
  eachContainerd(
    'wrong configuration',
    (test) => {
      let bystander = '';
      test('another container runs meanwhile', async ({ containers }) => {
        bystander = await containers.detached(['sleep', '10000']);
      });

      const cases: [title: string, config: () => string, said: RegExp[]][] = [
        ['no file', () => `${directory}/missing.toml`, [/missing\.toml/, /does not exist|no such|not found/i]],
        ['no TOML', () => file('no.toml', 'a = = b\n'), [/no\.toml/]],
        [
          'no kernel',
          () => file('kernel.toml', '[hypervisor.qemu]\nkernel = "/no/such/kernel"\n'),
          [/\/no\/such\/kernel/],
        ],
        ['no image', () => file('image.toml', '[hypervisor.qemu]\nimage = "/no/such/image"\n'), [/\/no\/such\/image/]],
        ['no QEMU', () => file('path.toml', '[hypervisor.qemu]\npath = "/no/such/qemu"\n'), [/\/no\/such\/qemu/]],
        [
          'a wrong type',
          () => file('type.toml', '[hypervisor.qemu]\ndefault_memory = "256"\n'),
          [/type\.toml:2: hypervisor\.qemu\.default_memory is .*write default_memory = 256, without quotes/],
        ],
        [
          'keys that contradict each other',
          () => file('both.toml', '[hypervisor.qemu]\ninitrd = "/a"\nimage = "/b"\n'),
          [/both\.toml:3: .*both\.toml:2: .*a guest has one of them/],
        ],
        [
          'a confidential guest',
          () => file('tee.toml', '[hypervisor.qemu]\nconfidential_guest = true\n'),
          [/tee\.toml:2: hypervisor\.qemu\.confidential_guest is true: .*no sandbox is made/],
        ],
        [
          'a kernel of another CPU',
          () => file('cpu.toml', `[hypervisor.qemu]\nkernel = "${file('vmlinux', foreignKernel())}"\n`),
          [/cpu\.toml:2: .*vmlinux is a kernel for riscv64, and this machine is/],
        ],
        [
          'a file that any user may write',
          () => {
            const path = file('open.toml', '');
            chmodSync(path, 0o666);
            return path;
          },
          [/open\.toml is refused: any user may write it, .*run: chmod o-w/],
        ],
        [
          'QEMU that exits at once',
          () => file('false.toml', '[hypervisor.qemu]\npath = "/bin/false"\n'),
          [/\/bin\/false|QEMU/i],
        ],
        [
          'an agent that never answers',
          () => silentGuest(directory),
          [/did not answer/, /dial_timeout/, /only-words-of-this-guest/],
        ],
      ];
      for (const [title, config, said] of cases) {
        test(`${title}: said, and nothing stays`, async ({ containers }) => {
          const flags = ['--runtime-config-path', config()];
          const done = await containers.run(['true'], { flags });
          assert.is.not(done.code, 0);
          for (const words of said) assert.match(done.stderr, words);
          assert.is(await containers.status(bystander), 'RUNNING');
        });
      }

      test('a rootfs that does not exist: said, and nothing stays', async ({ containers }) => {
        const done = await containers.run(['true'], { flags: ['--rootfs'], image: '/no/such/rootfs' });
        assert.is.not(done.code, 0);
        assert.match(done.stderr, '/no/such/rootfs');
      });

      test('the other container never noticed', async ({ containers, daemon }) => {
        assert.is((await containers.exec(bystander, ['true'])).code, 0);
        await containers.remove(bystander);
        assert.equal(await daemon.leftovers(), []);
      });
    },
    newest,
  );
}

/** Requests that containerd would not send, sent all the same. */
function straight(): void {
  const test = suite('wrong requests');
  const place = new ShimPlace();
  let next = 0;
  const newId = () => `bad${process.pid}-${next++}`;

  const configs: [title: string, config: () => string, said: RegExp][] = [
    ['is no JSON', () => '{"process": ', /config\.json/],
    ['has no process', () => JSON.stringify({ ...place.spec(['true']), process: undefined }), /process/],
    ['has no root', () => JSON.stringify({ ...place.spec(['true']), root: undefined }), /root/],
  ];
  for (const [title, config, said] of configs) {
    test(`a config.json that ${title}`, async () => {
      const id = newId();
      const task = await place.start(id, place.bundle(id, config()));
      const error = await task.create().then(() => undefined, reasonOf);
      assert.match(error ?? 'no error', said);
      await task.end();
    });
  }

  for (const id of ['a/b', '..', '../x', '']) {
    test(`the id ${JSON.stringify(id)} is refused by start`, async () => {
      const bundle = place.bundle('refused');
      const done = await place.command(id, bundle, ['start']);
      assert.is.not(done.code, 0);
      assert.match(done.stdout + done.stderr, /id/);
    });
  }

  test('unknown runtime options', async () => {
    const id = newId();
    const task = await place.start(id, place.bundle(id));
    const options = { type_url: 'no.such.Options', value: new Uint8Array([1]) };
    assert.match(await task.create({ options }).then(() => 'no error', reasonOf), /no\.such\.Options/);
    await task.end();
  });

  test('a rootfs mount from nowhere', async () => {
    const id = newId();
    const task = await place.start(id, place.bundle(id));
    const rootfs = [{ type: 'bind', source: '/no/such/rootfs', target: '', options: ['rbind', 'ro'] }];
    assert.match(await task.create({ rootfs }).then(() => 'no error', reasonOf), /\/no\/such\/rootfs/);
    await task.end();
  });

  test('a second Create, Exec before Start, exec ids of nobody', async () => {
    const id = newId();
    const task = await place.start(id, place.bundle(id));
    await task.create();
    assert.match(await codeOf(task.create()), /already_exists/);
    const exec = {
      exec_id: 'e',
      spec: { type_url: 'types.containerd.io/opencontainers/runtime-spec/1/Process', value: EXEC },
    };
    assert.match(await codeOf(task.call('Exec', exec as never)), /failed_precondition/);
    await task.call('Start');
    for (const method of ['Start', 'Kill', 'State', 'Delete', 'Wait', 'ResizePty', 'CloseIO'] as const) {
      assert.match(await codeOf(task.call(method, { exec_id: 'nobody' } as never)), /not_found/, method);
    }
    assert.is((await task.call('State')).status, 2);
    await task.end();
  });

  test('a bad container of a pod does not disturb the others', async () => {
    const id = newId();
    const pod = (type: string) => ({
      annotations: { 'io.kubernetes.cri.container-type': type, 'io.kubernetes.cri.sandbox-id': id },
    });
    const task = await place.start(id, place.bundle(id, place.spec(['sleep', '1000'], pod('sandbox'))));
    await task.create();
    await task.call('Start');
    const bad = newId();
    const wrong = { ...place.spec(['true'], pod('container')), root: { path: '/no/such/rootfs' } };
    const guest = await place.start(bad, place.bundle(bad, wrong));
    assert.match(await guest.create().then(() => 'no error', reasonOf), /\/no\/such\/rootfs/);
    assert.is((await task.call('State')).status, 2);
    const good = newId();
    const second = await place.start(good, place.bundle(good, place.spec(['sh', '-c', 'exit 4'], pod('container'))));
    await second.create();
    await second.call('Start');
    assert.is((await second.call('Wait')).exit_status, 4);
    await second.call('Delete');
    await task.end();
  });

  test('nothing is left behind', async () => {
    assert.equal(await place.remove(), []);
  });
  test.run();
}

const EXEC = Buffer.from(JSON.stringify({ args: ['true'], cwd: '/', env: ['PATH=/bin'] }));

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'no error',
    (error: { code?: string }) => error.code ?? reasonOf(error),
  );
}

/** A guest that says something on its console and then nothing to anybody; its kernel is ours. */
function silentGuest(directory: string): string {
  const init = '#!/bin/busybox sh\necho only-words-of-this-guest\nexec /bin/busybox sleep 10000\n';
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path)) ?? '';
  const initrd = cpio([
    { type: 'dir', path: 'dev' },
    { type: 'char', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { type: 'file', path: 'init', mode: 0o755, data: Buffer.from(init) },
    { type: 'file', path: 'bin/busybox', mode: 0o755, data: readFileSync(busybox) },
  ]);
  writeFileSync(`${directory}/silent.gz`, gzipSync(initrd));
  const text = `[hypervisor.qemu]
initrd = "${directory}/silent.gz"
[agent.kata]
dial_timeout = 10
[edge]
agent_transport = "virtio-serial"
`;
  writeFileSync(`${directory}/silent.toml`, text);
  return `${directory}/silent.toml`;
}

/** The beginning of an ELF file for RISC-V. */
function foreignKernel(): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(2, 16);
  head.writeUInt16LE(243, 18);
  return head;
}
