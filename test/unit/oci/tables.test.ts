import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OCI_NAMES } from '../../../host/oci/names.ts';

/** Not resolved by the compiler: the generator is a program, without types. */
const GENERATOR = new URL('../../../proto/generate-oci-tables.mjs', import.meta.url).href;

const tables = suite('OCI tables');

tables('are what the generator makes of oci.proto', async () => {
  const { generate } = (await import(GENERATOR)) as { generate: () => Map<string, string> };
  const files = generate();
  assert.is(files.size, 3);
  for (const [path, text] of files)
    assert.is(readFileSync(path, 'utf8'), text, `${path}: run node proto/generate-oci-tables.mjs`);
});

tables('know the names that differ from the protocol by more than their first letter', () => {
  assert.is(OCI_NAMES['grpc.Spec']?.ociVersion, 'Version');
  assert.is(OCI_NAMES['grpc.Process']?.oomScoreAdj, 'OOMScoreAdj');
  assert.is(OCI_NAMES['grpc.LinuxHugepageLimit']?.pageSize, 'Pagesize');
  assert.is(OCI_NAMES['grpc.LinuxSyscall']?.errnoRet, 'errnoret');
  assert.is(OCI_NAMES['grpc.LinuxIntelRdt']?.l3CacheSchema, 'L3CacheSchema');
});

tables.run();
