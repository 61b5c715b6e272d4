/** The management socket of real sandboxes, and a volume that is handed to them as a disk. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Answer, type RequestOptions, request } from '../../host/management/client.ts';
import { findSandbox, type SandboxRecord } from '../../host/sandbox/census.ts';
import { addDirectVolume, removeDirectVolume, sandboxesOf } from '../../host/storage/direct-volume.ts';
import { kill, markedProcesses } from '../../setup/processes.ts';
import { eachContainerd, IS_KATA, testedVersions } from '../harness/containerd.ts';
import { until } from '../harness/containers.ts';

const MIB = 1024 * 1024;
const LINKS = '/run/vc/sbs';

type Told = Answer & { readonly text: string };

async function ask(record: SandboxRecord, path: string, options: Partial<RequestOptions> = {}): Promise<Told> {
  const socket = record.state.monitor;
  assert.ok(socket, 'the sandbox has no management socket');
  const answer = await request(socket, { method: 'GET', path, timeoutMs: 60_000, ...options });
  return { ...answer, text: answer.body.toString() };
}

const versions = testedVersions().slice(-1);
if (IS_KATA) {
  eachContainerd(
    'management',
    (test) => {
      let directory = '';
      let image = '';
      let volume = '';
      const flags = (): string[] => ['--mount', `type=bind,src=${volume},dst=/data,options=rbind:rw`];

      test('every route of a sandbox that has a disk of its own', async ({ containers }) => {
        directory = mkdtempSync(join(tmpdir(), 'kata-direct-'));
        [image, volume] = [join(directory, 'disk.img'), join(directory, 'mount')];
        mkdirSync(volume);
        execFileSync('truncate', ['-s', '64M', image]);
        execFileSync('mke2fs', ['-q', '-t', 'ext4', '-F', image]);
        const info = { 'volume-type': 'block', device: image, fstype: 'ext4', metadata: { fsGroup: '1234' } };
        addDirectVolume(volume, JSON.stringify(info));
        const id = await containers.detached(['sleep', '4000'], { flags: flags() });
        const record = findSandbox(id);

        const link = `${LINKS}/${id}/shim-monitor.sock`;
        assert.is(readlinkSync(link), record.state.monitor);
        assert.is(lstatSync(record.state.monitor ?? '').mode & 0o777, 0o600);
        const { body } = await request(link, { method: 'GET', path: '/agent-url' });
        assert.match(body.toString(), /^virtio-serial:\/\/\//);

        const view = JSON.parse((await ask(record, '/sandbox')).text);
        assert.equal([view.id, view.state, view.containers.length], [id, 'running', 1]);
        assert.is(readFileSync(`/proc/${view.pids.qemu}/comm`, 'latin1').slice(0, 11), 'qemu-system');
        assert.is(view.pids.shim, record.state.shim.pid);

        const metrics = (await ask(record, '/metrics')).text;
        for (const name of ['kata_shim_threads', 'kata_hypervisor_fds', 'kata_guest_', 'kata_agent_']) {
          assert.match(metrics, new RegExp(`^${name}`, 'm'));
        }
        // The kernel of a quiet boot says nothing.
        assert.is((await ask(record, '/console')).status, 200);
        await checkRules(record);
        const policy = await ask(record, '/policy', { method: 'PUT', body: 'package agent_policy' });
        assert.is(policy.status, 501);
        assert.match(policy.text, /nothing was set/);
        assert.is((await ask(record, '/debug/vars')).status, 404);

        const out = await containers.exec(id, [
          'sh',
          '-c',
          'echo kept > /data/file; stat -c "%g %a" /data; df -T /data | tail -1',
        ]);
        assert.match(out.stdout, /^1234 2\d+\n\/dev\/vd\w +ext4 /, out.stderr);
        await checkStats(record, 64);
        await checkResize(record);
        assert.equal(sandboxesOf(volume), [id]);

        // Somebody who connects and says nothing holds up nobody.
        const silent = connect(record.state.monitor ?? '');
        silent.on('error', () => {});
        assert.is((await ask(record, '/sandbox')).status, 200);
        silent.destroy();

        await containers.remove(id);
        assert.equal([existsSync(link), existsSync(record.directory), sandboxesOf(volume)], [false, false, []]);
      });

      test('the next pod finds what the first has written', async ({ containers }) => {
        const { stdout, stderr } = await containers.run(['sh', '-c', 'cat /data/file; df -m /data | tail -1'], {
          flags: flags(),
        });
        assert.match(stdout, /^kept\n\/dev\/vd\w +1\d\d /, stderr);
      });

      test('a shim that is killed leaves neither socket nor link; a hanging guest is no hanging shim', async ({
        containers,
        daemon,
      }) => {
        const id = await containers.detached(['sleep', '4000']);
        const record = findSandbox(id);
        const [qemu] = record.state.children;
        assert.ok(qemu);
        process.kill(qemu.pid, 'SIGSTOP');
        const [metrics, stats, view] = await Promise.all([
          ask(record, '/metrics'),
          ask(record, '/direct-volume/stats?path=%2Frun%2Fkata-containers%2Fx'),
          ask(record, '/sandbox'),
        ]);
        assert.equal([metrics.status, stats.status, view.status], [200, 504, 200]);
        assert.match(metrics.text, /^kata_shim_threads /m);
        assert.match(stats.text, /did not answer GetVolumeStats within/);
        process.kill(qemu.pid, 'SIGCONT');
        const shim = markedProcesses(daemon.directory).find(({ pid }) => pid === record.state.shim.pid);
        assert.ok(shim);
        kill(shim);
        await until('the task is gone', async () => (await containers.status(id)) === undefined);
        await containers.must(['containers', 'rm', id]);
        await until('it is cleaned up', () => !existsSync(join(LINKS, id)) && !existsSync(record.directory));
        removeDirectVolume(volume);
        rmSync(directory, { recursive: true });
        assert.not.ok(readdirSync('/run/kata-containers/shared/direct-volumes').some((name) => name.includes('mount')));
        assert.equal(await daemon.leftovers(), []);
      });

      async function checkStats(record: SandboxRecord, mib: number): Promise<void> {
        for (const path of [volume, image]) {
          const stats = JSON.parse((await ask(record, `/direct-volume/stats?path=${encodeURIComponent(path)}`)).text);
          const [bytes, inodes] = stats.usage;
          assert.ok(
            bytes.unit === 1 && bytes.total > (mib * MIB) / 2 && bytes.total < mib * MIB,
            JSON.stringify(stats),
          );
          assert.ok(inodes.unit === 2 && inodes.used > 0);
          assert.is(stats.volume_condition.abnormal, false);
        }
      }

      async function checkRules(record: SandboxRecord): Promise<void> {
        for (const [path, reject] of [
          ['/iptables', 'icmp-port-unreachable'],
          ['/ip6tables', 'icmp6-port-unreachable'],
        ]) {
          assert.equal([(await ask(record, path ?? '')).status, (await ask(record, path ?? '')).text], [200, '']);
          const rules = [
            '-A INPUT -p tcp -m tcp --dport 4 -m comment --comment four -j REJECT',
            '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
          ];
          const nat = '-A OUTPUT -p tcp -m tcp --dport 5 -j REDIRECT --to-ports 6';
          const body = `*filter\n${rules.join('\n')}\nCOMMIT\n*nat\n${nat}\nCOMMIT\n`;
          const set = await ask(record, path ?? '', { method: 'PUT', body });
          assert.equal([set.status, set.text], [200, '']);
          const { text } = await ask(record, path ?? '');
          for (const rule of [`${rules[0]} --reject-with ${reject}`, rules[1], nat])
            assert.ok(text.includes(`${rule}\n`), text);
          const bad = await ask(record, path ?? '', { method: 'PUT', body: '*filter\n-A INPUT -j NOWHERE\nCOMMIT\n' });
          assert.is(bad.status, 500);
          assert.match(bad.text, /tables-restore ended with \d/);
          assert.ok((await ask(record, path ?? '')).text.includes(nat));
        }
      }

      async function checkResize(record: SandboxRecord): Promise<void> {
        const resize = (path: string): Promise<Told> =>
          ask(record, '/direct-volume/resize', {
            method: 'POST',
            body: JSON.stringify({ VolumePath: path, Size: 128 * MIB }),
          });
        const early = await resize(volume);
        assert.is(early.status, 409);
        assert.match(early.text, /has to be grown first/);
        truncateSync(image, 128 * MIB);
        const done = await resize(volume);
        assert.is(done.status, 200, done.text);
        await checkStats(record, 128);
      }
    },
    versions,
  );
}
