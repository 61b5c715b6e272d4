/** Limits of sandbox and container, users by name, and programs the guest may have. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Container, MAX_PROCESSES } from '../../../guest/agent/container.ts';
import { checkContainerId, MAX_ID_CHARS } from '../../../guest/agent/container-id.ts';
import { getIpTables, MAX_RULES_BYTES, setIpTables } from '../../../guest/agent/iptables.ts';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import { MAX_CONTAINERS, Sandbox } from '../../../guest/agent/sandbox.ts';
import { resolveUser } from '../../../guest/agent/user.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { CreateContainerRequest } from '../../../host/proto/messages/agent.ts';
import { Spec } from '../../../host/proto/messages/oci.ts';
import { nodeLoop, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

interface Context {
  directory: string;
  guest: Guest;
  stop: () => void;
}

const limits = suite<Context>('limits');

limits.before.each((context) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'limits-'));
  const sys = nodeSys();
  const loop = nodeLoop(sys);
  const options = { ...DEFAULT_OPTIONS, runDir: `${directory}/run`, programDirs: [`${directory}/none`, directory] };
  Object.assign(context, { directory, stop: loop.stop, guest: { sys, loop, options } });
});
limits.after.each((context) => {
  context.stop();
  fs.rmSync(context.directory, { recursive: true });
});

function container(guest: Guest, id: string): Container {
  return new Container(guest, id, id, decode(Spec, new Uint8Array(0)), {});
}

function program({ directory }: Context, name: string, text: string): void {
  fs.writeFileSync(path.join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

limits('ids', async () => {
  checkContainerId('x');
  checkContainerId('x'.repeat(MAX_ID_CHARS));
  await refused(() => checkContainerId('x'.repeat(MAX_ID_CHARS + 1)), 'invalid_argument', /invalid container ID/);
});

limits('containers of a pod', async ({ guest }) => {
  const sandbox = new Sandbox(guest);
  for (let i = 0; i < MAX_CONTAINERS; i++) sandbox.containers.set(`c${i}`, container(guest, `c${i}`));
  const request = { container_id: 'one-more', OCI: { Process: { Args: ['x'] } } };
  const whole = decode(CreateContainerRequest, encode(CreateContainerRequest, request));
  await refused(() => sandbox.createContainer(whole), 'resource_exhausted', /256 containers/);
});

limits('processes of a container', async ({ guest }) => {
  const one = container(guest, 'one');
  const releases = Array.from({ length: MAX_PROCESSES }, (_, i) => one.reserveExec(`e${i}`));
  await refused(() => one.reserveExec('more'), 'resource_exhausted', /1024 processes/);
  releases[0]?.();
  one.reserveExec('more');
});

limits('signals', async ({ guest }) => {
  const one = container(guest, 'one');
  await refused(() => one.signal('', 65), 'invalid_argument', /signal 65: at most 64/);
  await refused(() => one.signal('', 15), 'not_found', /no process ""/);
});

limits('users by name are those of the container', async (context) => {
  const { guest, directory } = context;
  const rooted = { bundle: directory };
  const user = (uid: string, gid = '', additionalGids: string[] = []) =>
    resolveUser(guest, rooted, { uid, gid, additionalGids });
  fs.mkdirSync(`${directory}/rootfs/etc`, { recursive: true });
  fs.writeFileSync(`${directory}/rootfs/etc/passwd`, 'root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n');
  fs.writeFileSync(`${directory}/rootfs/etc/group`, 'disk:x:6:\n');
  const rest = { Username: '', Umask: undefined };
  assert.equal(user('web', '', ['disk', '7']), { UID: 33, GID: 34, AdditionalGids: [6, 7], ...rest });
  assert.equal(user('5', 'disk'), { UID: 5, GID: 6, AdditionalGids: [], ...rest });
  assert.equal(user(''), { UID: 0, GID: 0, AdditionalGids: [], ...rest });
  await refused(() => user('nobody-here'), 'invalid_argument', /no user "nobody-here"/);
  await refused(() => user('4294967295'), 'invalid_argument', /no user/);
  fs.unlinkSync(`${directory}/rootfs/etc/passwd`);
  fs.symlinkSync('/etc/passwd', `${directory}/rootfs/etc/passwd`);
  await refused(() => user('root'), 'invalid_argument', /no user "root"/);
});

limits('packet filter rules go through the guest\u2019s programs', async (context) => {
  const { guest, directory } = context;
  await refused(() => getIpTables(guest, false), 'unimplemented', /no iptables-save/);
  program(context, 'iptables-save', 'echo "*filter"; echo COMMIT');
  program(context, 'ip6tables-restore', `cat > ${directory}/rules; echo "$@"`);
  assert.is(new TextDecoder().decode(await getIpTables(guest, false)), '*filter\nCOMMIT\n');
  const rules = new Uint8Array(200_000).fill(120);
  assert.is(new TextDecoder().decode(await setIpTables(guest, true, rules)), '--wait 5\n');
  assert.is(fs.statSync(`${directory}/rules`).size, rules.length);
  program(context, 'iptables-restore', 'echo "line 2 failed" >&2; exit 2');
  await refused(() => setIpTables(guest, false, rules), 'internal', /ended with 2: line 2 failed/);
  program(context, 'ip6tables-save', `head -c ${MAX_RULES_BYTES * 2} /dev/zero`);
  await refused(() => getIpTables(guest, true), 'resource_exhausted', /bytes of rules/);
});

limits.run();
