import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AcceleratorHost, chooseAccelerator, THIS_HOST } from '../../../host/hypervisor/qemu/accelerator.ts';

interface Context {
  directory: string;
  host: AcceleratorHost;
  probes: string[];
}

const choice = suite<Context>('choice of the accelerator');

choice.before.each((context) => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-accelerator-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  context.directory = directory;
  context.probes = [];
  context.host = {
    kvmDevice: file('kvm', ''),
    cpuinfo: file('cpuinfo', 'processor\t: 0\nflags\t\t: fpu vmx sse2\n'),
    bootId: file('boot_id', '11-22\n'),
    cache: join(directory, 'cache/accelerator.json'),
    arch: 'x64',
    probe: async (qemu, kernel) => {
      context.probes.push(`${qemu} ${kernel}`);
      return '';
    },
  };
  file('qemu', '');
  file('kernel', '');
});

choice.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function choose({ directory }: Context, host: AcceleratorHost): ReturnType<typeof chooseAccelerator> {
  return chooseAccelerator(join(directory, 'qemu'), join(directory, 'kernel'), host);
}

choice('KVM when a kernel boots under it, asked once', async (context) => {
  assert.equal(await choose(context, context.host), { accelerator: 'kvm', reason: '' });
  assert.equal(await choose(context, context.host), { accelerator: 'kvm', reason: '' });
  assert.is(context.probes.length, 1);
  assert.is(statSync(context.host.cache).mode & 0o777, 0o600);
});

choice('TCG with the reason when it does not, asked once too', async (context) => {
  const host = { ...context.host, probe: async () => 'it hung' };
  assert.equal(await choose(context, host), { accelerator: 'tcg', reason: 'it hung' });
  assert.equal(await choose(context, context.host), { accelerator: 'tcg', reason: 'it hung' });
});

choice('a new boot of the host, QEMU or kernel is asked again', async (context) => {
  await choose(context, context.host);
  writeFileSync(context.host.bootId, '33-44\n');
  await choose(context, context.host);
  writeFileSync(join(context.directory, 'kernel'), 'another');
  await choose(context, context.host);
  writeFileSync(join(context.directory, 'qemu'), 'another');
  await choose(context, context.host);
  assert.is(context.probes.length, 4);
  // Answers of earlier boots are not kept.
  assert.not.match(readFileSync(context.host.cache, 'utf8'), /11-22/);
});

choice('no device, or a CPU without the extension: TCG without a probe', async (context) => {
  const missing = await choose(context, { ...context.host, kvmDevice: '/nonexistent/kvm' });
  assert.equal(missing, { accelerator: 'tcg', reason: '/nonexistent/kvm does not exist' });
  writeFileSync(context.host.cpuinfo, 'flags\t\t: fpu xvmx sse2\n');
  assert.match((await choose(context, context.host)).reason, /neither vmx nor svm/);
  assert.equal(context.probes, []);
});

choice('arm64 has no such flag: only the probe tells', async (context) => {
  writeFileSync(context.host.cpuinfo, 'Features\t: fp asimd\n');
  assert.is((await choose(context, { ...context.host, arch: 'arm64' })).accelerator, 'kvm');
  assert.is(context.probes.length, 1);
});

choice('a cache that is broken, or that others may write, is not believed', async (context) => {
  await choose(context, context.host);
  for (const text of ['{', '[]', 'null', '"x"']) {
    writeFileSync(context.host.cache, text);
    assert.is((await choose(context, context.host)).accelerator, 'kvm', text);
  }
  const key = Object.keys(JSON.parse(readFileSync(context.host.cache, 'utf8')) as object)[0] ?? '';
  writeFileSync(context.host.cache, JSON.stringify({ [key]: 'forged' }), { mode: 0o666 });
  assert.is((await choose(context, context.host)).reason, 'forged');
  rmSync(context.host.cache);
  writeFileSync(context.host.cache, JSON.stringify({ [key]: 'forged' }));
  chmodSync(context.host.cache, 0o666);
  assert.is((await choose(context, context.host)).accelerator, 'kvm');
});

choice('a probe that fails, or a cache that cannot be written, is no error', async (context) => {
  const broken = { ...context.host, probe: () => Promise.reject(new Error('no setpriv')) };
  assert.equal(await choose(context, broken), { accelerator: 'tcg', reason: 'no setpriv' });
  const readOnly = { ...context.host, cache: join(context.host.kvmDevice, 'accelerator.json') };
  assert.is((await choose(context, readOnly)).accelerator, 'kvm');
});

choice('the real probe finds a program that is no QEMU', async () => {
  const { probe } = THIS_HOST;
  assert.match(await probe('/bin/false', '/nonexistent'), /QEMU refused KVM: exit code 1/);
  assert.match(await probe('/bin/true', '/nonexistent'), /was reset before the guest kernel ran/);
});

choice.run();
