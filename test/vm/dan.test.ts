/** A directly attachable network in a real machine: a tap that somebody else has made, and a file that says how the guest sees it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { succeed } from '../../setup/command.ts';
import { eachContainerd, IS_KATA, testedVersions } from '../harness/containerd.ts';

if (IS_KATA) {
  const directory = mkdtempSync('/tmp/ke-dan-');
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const config = `${directory}/configuration.toml`;
  writeFileSync(config, `[runtime]\ndan_conf = "${directory}"\n`);
  const namespace = `kata-dan-${process.pid}`;
  const ip = (command: string) => succeed(['ip', '-n', namespace, ...command.split(' ')]);

  eachContainerd(
    'a directly attachable network',
    (test) => {
      test('is what the file says', async ({ containers }) => {
        const id = `dan-${process.pid}`;
        await succeed(['ip', 'netns', 'add', namespace]);
        try {
          await ip('tuntap add dan0 mode tap');
          await ip('address add 10.77.0.1/24 dev dan0');
          await ip('link set dan0 up');
          writeFileSync(
            `${directory}/${id}.json`,
            JSON.stringify({
              netns: null,
              devices: [
                {
                  name: 'eth7',
                  guest_mac: '02:00:ca:fe:00:07',
                  device: { type: 'host-tap', tap_name: 'dan0' },
                  network_info: {
                    interface: { ip_addresses: ['10.77.0.2/24'], mtu: 1400 },
                    routes: [{ gateway: '10.77.0.1' }],
                  },
                },
              ],
            }),
          );
          const script = 'ip -o addr show eth7; ip link show eth7; ip route; ping -c 2 -w 20 10.77.0.1';
          const done = await containers.run(['sh', '-c', script], {
            id,
            flags: ['--runtime-config-path', config, '--with-ns', `network:/run/netns/${namespace}`],
          });
          assert.is(done.code, 0, done.stdout + done.stderr);
          assert.match(done.stdout, /inet 10\.77\.0\.2\/24/);
          assert.match(done.stdout, /mtu 1400[\s\S]*02:00:ca:fe:00:07/);
          assert.match(done.stdout, /default via 10\.77\.0\.1 dev eth7/);
          // The tap is whoever's made it.
          assert.match(await succeed(['ip', '-n', namespace, '-o', 'link', 'show', 'dan0']), /dan0/);
        } finally {
          await succeed(['ip', 'netns', 'del', namespace]);
        }
      });
    },
    testedVersions().slice(-1),
  );
}
