/**
 * Our ttrpc and ttrpc-rust, each as the other's server: `node --import tsx test/interop/ttrpc-rust.ts`. No part of `npm test`:
 * it takes a cargo that the machine has, of a Rust newer than Debian 12's, and fetches some forty packages.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Empty } from '../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../host/ttrpc/server.ts';
import { describe } from '../../setup/command.ts';
import { DEBIAN_CACHE, ROOT, RUST, RUST_CACHE } from '../../setup/paths.ts';
import { buildRust, machineCargo, rustCrates } from '../../setup/rust-crates.ts';
import { listen } from '../unit/ttrpc/socket-fixture.ts';
import { Caller, failureOf } from './caller.ts';
import { PEER, pattern, peerService } from './peer.ts';
import { check, checkNames, serve, socketPath } from './program.ts';
import { unaryChecks } from './unary-checks.ts';

const cargo = machineCargo();
if (!cargo) throw new Error('there is no cargo: install one (rustup) and try again');
const registry = await rustCrates(RUST, DEBIAN_CACHE, (line) => process.stderr.write(`${line}\n`));
const program = await buildRust(cargo, registry, join(ROOT, 'test/interop/rust'), RUST_CACHE);

const ours = suite("ttrpc-rust's client, our server");
const path = socketPath('ours');
const server = new TtrpcServer([peerService()]);
ours.before(async () => server.adopt(await listen(path)));
ours.after(() => server.close());

for (const name of await checkNames(program)) {
  ours(name, async () => {
    const done = await check(program, name, path);
    assert.is(done.code, 0, describe(done));
  });
}

const theirs = suite("our client, ttrpc-rust's server");
let rust: ChildProcess;
let caller: Caller;
theirs.before(async () => {
  rust = await serve(program, socketPath('rust'));
});
theirs.after(async () => {
  rust.kill();
  await once(rust, 'exit');
});
theirs.before.each(async () => {
  caller = new Caller(await TtrpcClient.connect(socketPath('rust')));
});
theirs.after.each(() => caller.client.close());
unaryChecks(theirs, () => caller);

theirs('unknown service and method, for which this peer has a code of its own', async () => {
  const types = [Empty, Empty] as const;
  assert.is((await failureOf(caller.client.call(PEER, 'Nothing', types, {}))).code, 'invalid_argument');
  assert.is((await failureOf(caller.client.call('no.such.Service', 'Echo', types, {}))).code, 'invalid_argument');
  await caller.echo(pattern(100));
});

ours.run();
theirs.run();
