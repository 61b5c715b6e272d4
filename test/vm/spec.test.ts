/** What a spec asks for, in a real guest: each thing seen from inside a container. One boot serves all tests. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Init } from '../../host/proto/codec.ts';
import { AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import type { Process } from '../../host/proto/messages/oci.ts';
import { type BareContainers, bootPod, HOOKS, IMAGE, rejects, S_IFDIR, S_IFREG } from './bare-containers.ts';

const EOPNOTSUPP = 95;
const RESTARTS = 12;
const PLAIN = ['mount', 'ipc', 'uts'].map((Type) => ({ Type }));
/** Without capabilities of its own a process is left to crun. */
const CAPABLE: Init<Process> = {
  Capabilities: { Bounding: ['CAP_KILL'], Effective: ['CAP_KILL'], Permitted: ['CAP_KILL'] },
};
const CONTAINER_TYPE = 'io.katacontainers.pkg.oci.container_type';

const specs = suite('a spec in the guest');
let pod: BareContainers;

specs.before(async () => {
  pod = await bootPod();
});

specs.after(() => pod?.close());

specs('user, groups, umask, working directory, environment', async () => {
  const User = { UID: 33, GID: 34, AdditionalGids: [5, 77], Umask: 0o027 };
  const process = { User, Cwd: '/made/for/it', Env: ['PATH=/bin', 'A=b c'] };
  const out = await pod.output('id -u; id -g; id -G; umask; pwd; echo "$A"; hostname', { process });
  assert.equal(out.split('\n'), ['33', '34', '34 5 77', '0027', '/made/for/it', 'b c', 'the-pod']);
});

specs('capabilities, rlimits, no_new_privs, oom_score_adj', async () => {
  const two = ['CAP_KILL', 'CAP_CHOWN'];
  const process = {
    Capabilities: { Bounding: two, Effective: two, Permitted: two, Inheritable: [], Ambient: [] },
    Rlimits: [{ Type: 'RLIMIT_NOFILE', Hard: 321, Soft: 123 }],
    NoNewPrivileges: true,
    OOMScoreAdj: 345,
  };
  const script =
    'grep -E "^(CapBnd|CapEff|NoNewPrivs|Seccomp):" /proc/self/status; ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj';
  const out = await pod.output(script, { process });
  assert.match(out, /CapEff:\s+0*21\nCapBnd:\s+0*21\nNoNewPrivs:\s+1\nSeccomp:\s+0\n123\n321\n345$/);
});

specs('seccomp is enforced, with the errno it names', async () => {
  const Seccomp = {
    DefaultAction: 'SCMP_ACT_ALLOW',
    Architectures: ['SCMP_ARCH_X86_64'],
    Syscalls: [{ Names: ['mkdir', 'mkdirat'], Action: 'SCMP_ACT_ERRNO', errnoret: EOPNOTSUPP }],
  };
  const linux = { Seccomp, Namespaces: PLAIN };
  const { out, err } = await pod.run(['sh', '-c', 'grep Seccomp: /proc/self/status; mkdir /tmp/x'], { linux });
  assert.match(out, /Seccomp:\s+2/);
  assert.match(err, /not supported/i);
  // An exec is under the same filter.
  const id = await pod.start(['sleep', '1000'], { linux });
  assert.match((await pod.exec(id, ['mkdir', '/tmp/y'])).err, /not supported/i);
  await pod.remove(id);
});

specs('read-only root, masked and read-only paths, mounts onto links, a hundred mounts', async () => {
  const many = Array.from({ length: 100 }, (_, i) => tmpfs(`/tmp/m${i}`));
  const readonly = { Path: IMAGE, Readonly: true };
  const linux = { MaskedPaths: ['/proc/kcore', '/sys/firmware'], ReadonlyPaths: ['/proc/sys'], Namespaces: PLAIN };
  const script = [
    'touch /x 2>&1',
    'cat /proc/kcore | wc -c',
    'ls /sys/firmware | wc -l',
    'echo 1 2>&1 >/proc/sys/kernel/printk',
    'grep -c " /real " /proc/mounts',
    'grep -c " /tmp/m" /proc/mounts',
  ];
  const wanted = { spec: { Root: readonly }, linux, mounts: [tmpfs('/link'), ...many] };
  await pod.output('for i in $(seq 0 99); do mkdir /tmp/m$i; done');
  const lines = (await pod.output(script.join(';'), wanted)).split('\n');
  assert.match(lines[0] ?? '', /Read-only file system/);
  assert.match(lines[3] ?? '', /Read-only file system/);
  assert.equal([lines[1], lines[2], lines[4], lines[5]], ['0', '0', '1', '100']);
});

specs('sysctls: the network’s for all, the others in the pod’s namespaces', async () => {
  const Sysctl = {
    'net.ipv4.ip_local_port_range': '20000 30000',
    'kernel.shm_rmid_forced': '1',
    'kernel.msgmax': '9000',
    'fs.mqueue.msg_max': '99',
  };
  const files = 'net/ipv4/ip_local_port_range kernel/shm_rmid_forced kernel/msgmax fs/mqueue/msg_max';
  const script = `cd /proc/sys; for f in ${files}; do echo $(cat $f); done`;
  assert.equal((await pod.output(script, { linux: { Sysctl, Namespaces: PLAIN } })).split('\n'), [
    '20000 30000',
    '1',
    '9000',
    '99',
  ]);
  // Another container of the pod.
  assert.equal((await pod.output(script)).split('\n'), ['20000 30000', '1', '9000', '99']);
  await rejects(
    pod.create(['true'], { linux: { Sysctl: { 'kernel.panic': '1' }, Namespaces: PLAIN } }),
    /kernel\.panic/,
  );
});

specs('a user namespace with its mappings', async () => {
  const mapping = [{ ContainerID: 0, HostID: 65_536, Size: 65_536 }];
  const Namespaces = [...PLAIN, { Type: 'user' }];
  const linux = { Namespaces, UIDMappings: mapping, GIDMappings: mapping };
  const out = await pod.output(
    'id -u; echo $(cat /proc/self/uid_map); touch /tmp/mine; stat -c %u /tmp/mine; hostname',
    { linux, mounts: [tmpfs('/tmp')] },
  );
  assert.equal(out.split('\n'), ['0', '0 65536 65536', '0', 'the-pod']);
});

specs('an exec is what its container is', async () => {
  const script = [
    'grep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Sig[BIC]|Umask)" /proc/self/status',
    'ls -l /proc/self/ns | grep -o "[a-z_]*:.[0-9]*"',
    'cat /proc/self/cgroup /proc/self/oom_score_adj',
    'ulimit -a; env | sort; ls /proc/self/fd; pwd; id; echo written >/dev/stdout',
    'echo end',
  ].join(';');
  const five = ['CAP_KILL', 'CAP_CHOWN', 'CAP_NET_RAW', 'CAP_SETUID', 'CAP_SETGID'];
  const base = { Bounding: five, Effective: five, Permitted: five };
  const processes: Init<Process>[] = [
    { Capabilities: base, Rlimits: [{ Type: 'RLIMIT_CORE', Hard: 2n ** 64n - 1n, Soft: 7 }], OOMScoreAdj: 345 },
    { Capabilities: base, User: { UID: 33, GID: 34, AdditionalGids: [5, 77] }, NoNewPrivileges: true, Cwd: '/tmp' },
    { Capabilities: { ...base, Inheritable: five, Ambient: five }, User: { UID: 4000, GID: 1, Umask: 0o077 } },
  ];
  for (const process of processes) {
    const id = await pod.start(['sh', '-c', `${script}; sleep 1000; true`], { process });
    let init = '';
    while (!init.endsWith('end\n')) {
      const { data } = await pod.call('ReadStdout', methods.ReadStdout, { container_id: id, exec_id: id, len: 32_768 });
      init += Buffer.from(data).toString();
    }
    const { out, err, status } = await pod.exec(id, ['sh', '-c', script], process);
    assert.equal([status, err], [0, '']);
    assert.is(out, init);
    await pod.remove(id);
  }
});

specs('an exec counts among the processes of its container, and ends with it', async () => {
  const id = await pod.start(['sleep', '1000'], { process: CAPABLE, resources: { Pids: { Limit: 8 } } });
  const process = { Args: ['sleep', '1000'], Env: ['PATH=/bin'], Cwd: '/', ...CAPABLE };
  await pod.call('ExecProcess', methods.ExecProcess, { container_id: id, exec_id: 'running', process });
  const exec = pod.exec(id, ['sh', '-c', 'for i in $(seq 16); do sleep 1000 & done; wait'], CAPABLE);
  assert.is.not((await exec).status, 0);
  await pod.signal(id, 9);
  assert.is(await pod.wait(id), 137);
  assert.is((await pod.end(id, 'running')).status, 137);
  await pod.remove(id);
});

specs('programs that cannot be run are told in runc’s words, and leave nothing', async () => {
  const before = await census();
  await rejects(pod.create(['nope']), /^exec: "nope": executable file not found in \$PATH$/);
  await rejects(pod.create(['/nope']), /^exec: "\/nope": stat \/nope: no such file or directory$/);
  await rejects(pod.create(['/etc/passwd']), /permission denied/i);
  assert.equal(await census(), before);
  const id = await pod.start(['sleep', '1000'], { process: CAPABLE });
  await rejects(pod.exec(id, ['nope']), /^exec: "nope": executable file not found in \$PATH$/);
  await rejects(pod.exec(id, ['/tmp']), /^exec: "\/tmp": is a directory$/);
  await rejects(pod.exec(id, ['/etc/passwd']), /^exec: "\/etc\/passwd": permission denied$/);
  await rejects(pod.exec(id, ['pwd'], { Cwd: '/not/there' }), /chdir to cwd \("\/not\/there"\).*no such file/);
  await pod.remove(id);
});

specs('a pod that shares its processes: killing one container spares the others', async () => {
  const shared = { request: { sandbox_pidns: true } };
  const pause = await pod.start(['sleep', '1001'], { spec: { Annotations: { [CONTAINER_TYPE]: 'pod_sandbox' } } });
  // This pod's first containers had namespaces of their own: who asks for sharing looks at the oldest that runs.
  const target = await pod.start(['sleep', '1002']);
  const debug = await pod.start(['sh', '-c', 'sleep 1003 & wait'], shared);
  const seen = await pod.sh(debug, 'ps');
  assert.match(seen, /sleep 1002/);
  assert.not.match(seen, /sleep 1001/);
  await pod.signal(debug, 9);
  assert.is(await pod.wait(debug), 137);
  assert.not.match(await pod.sh(target, 'ps'), /sleep 1003/);
  for (const id of [debug, target]) await pod.remove(id);
  // Nobody left to look at: the pause container's namespace.
  assert.match(await pod.output('ps', shared), /sleep 1001/);
  await pod.remove(pause);
  // Not even that: the sandbox's own, whose first process shows nothing of the guest.
  const out = await pod.output('ps; ls /proc/1/root/ 2>&1 || true', shared);
  assert.match(out, /pod-namespaces/);
  assert.match(out, /Permission denied/);
});

specs('SIGTERM ends one that shares, by default', async () => {
  const id = await pod.start(['sleep', '1000'], { request: { sandbox_pidns: true } });
  await pod.signal(id, 15);
  assert.is(await pod.wait(id), 143);
  await pod.remove(id);
});

specs('a container is restarted again and again without leaving anything', async () => {
  const before = await census();
  for (let i = 0; i < RESTARTS; i++) {
    const id = await pod.start(['sh', '-c', 'sleep 1000 & sleep 1000'], { mounts: [tmpfs('/real')] });
    if (i % 2 === 0) await pod.exec(id, ['true']);
    if (i % 3 === 0) {
      await pod.signal(id, 9);
      await pod.wait(id);
    }
    await pod.remove(id);
  }
  assert.equal(await census(), before);
});

specs('hooks of the guest run in the guest', async () => {
  for (const stage of ['prestart', 'poststart', 'poststop']) {
    const script = `#!/bin/busybox sh\n/bin/busybox cat >/dev/null\necho ${stage} >>${IMAGE}/tmp/stages\n`;
    await pod.put(`${HOOKS}/${stage}`, S_IFDIR | 0o755);
    await pod.put(`${HOOKS}/${stage}/note`, S_IFREG | 0o755, Buffer.from(script));
  }
  await pod.put(`${HOOKS}/prestart/not-executable`, S_IFREG | 0o644, Buffer.from('exit 1\n'));
  const id = await pod.start(['sleep', '1000']);
  assert.is(await pod.sh(id, 'cat /tmp/stages'), 'prestart\npoststart');
  await pod.remove(id);
  assert.match(await pod.output('cat /tmp/stages'), /^prestart\npoststart\npoststop\nprestart/);
});

/** What the guest holds: descriptors of the agent, mounts, cgroups, files of containers. */
async function census(): Promise<string> {
  const bind = (source: string, destination: string) => ({
    source,
    destination,
    type: 'bind',
    options: ['rbind', 'ro'],
  });
  const mounts = [bind('/proc', '/real/proc'), bind('/run', '/real/run'), bind('/sys', '/real/sys')];
  const script = [
    'echo fds $(ls /real/proc/1/fd | wc -l)',
    'echo mounts $(cat /real/proc/1/mounts | wc -l)',
    'echo groups $(ls -R /real/sys/fs/cgroup | grep -c cgroup.procs)',
    'echo bundles $(ls -A /real/run/kata-containers | wc -l) $(ls -A /real/run/crun | wc -l)',
    'echo processes $(ls -d /real/proc/[0-9]* | wc -l)',
  ];
  const { out } = await pod.run(['sh', '-c', script.join(';')], { mounts });
  return out;
}

function tmpfs(destination: string) {
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['mode=1777', 'size=64k'] };
}

specs.run();
