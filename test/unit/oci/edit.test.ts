import { deepStrictEqual, throws } from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { addFields, applyEdit, dropField, type FieldPath, noEdit } from '../../../host/oci/edit.ts';
import type { MessageType } from '../../../host/proto/codec.ts';
import { Spec } from '../../../host/proto/messages/oci.ts';
import { oracleType, reading } from './oracle.ts';

type Values = Record<string, unknown>;

const TYPE = Spec as MessageType<unknown>;

function encode(value: object): Uint8Array {
  return oracleType('Spec').encode(value).finish();
}

function dropped(spec: Uint8Array, ...paths: FieldPath[]): unknown {
  const edit = noEdit();
  for (const path of paths) dropField(edit, TYPE, path);
  return reading('Spec', applyEdit(spec, edit));
}

const editing = suite('edits of encoded messages');

editing('take out fields at any depth and keep the rest', () => {
  const long = 'x'.repeat(200);
  const spec = encode({
    Version: '1',
    Root: { Path: '/a', Readonly: true },
    Linux: { CgroupsPath: long, Resources: { Network: { ClassID: 7 }, Pids: { Limit: -1 } }, MountLabel: 'm' },
  });
  deepStrictEqual(dropped(spec, ['Linux', 'CgroupsPath'], ['Linux', 'Resources', 'Network'], ['Root', 'Path']), {
    Version: '1',
    Root: { Readonly: true },
    Linux: { Resources: { Pids: { Limit: '-1' } }, MountLabel: 'm' },
  });
  deepStrictEqual(dropped(spec, ['Linux'], ['Linux', 'CgroupsPath'], ['Version']), {
    Root: { Path: '/a', Readonly: true },
  });
  deepStrictEqual(dropped(spec), reading('Spec', spec));
});

editing('make no message of what only takes out', () => {
  const edit = noEdit();
  dropField(edit, TYPE, ['Linux', 'Resources', 'Network']);
  deepStrictEqual(applyEdit(new Uint8Array(0), edit), new Uint8Array(0));
});

editing('put fields into messages, which are made if they are absent', () => {
  const edit = noEdit();
  addFields(
    edit,
    TYPE,
    ['Linux', 'Resources'],
    oracleType('LinuxResources')
      .encode({ Pids: { Limit: 5 } })
      .finish(),
  );
  addFields(edit, TYPE, ['Root'], oracleType('Root').encode({ Path: '/b' }).finish());
  addFields(edit, TYPE, [], encode({ Hostname: 'h' }));
  addFields(edit, TYPE, ['Process'], new Uint8Array(0));
  const added = { Root: { Path: '/b' }, Linux: { Resources: { Pids: { Limit: '5' } } }, Hostname: 'h' };
  deepStrictEqual(reading('Spec', applyEdit(new Uint8Array(0), edit)), added);
  const out = reading('Spec', applyEdit(encode({ Root: { Readonly: true }, Linux: { CgroupsPath: '/c' } }), edit));
  deepStrictEqual(out, {
    ...added,
    Root: { Path: '/b', Readonly: true },
    Linux: { ...added.Linux, CgroupsPath: '/c' },
  });
});

editing('refuse paths that are no fields, and bytes that are no message', () => {
  throws(() => dropField(noEdit(), TYPE, ['Linux', 'Nonsense']), /grpc.Linux has no field Nonsense/);
  throws(() => dropField(noEdit(), TYPE, ['Hostname', 'x']), /Hostname is no message/);
  throws(() => dropField(noEdit(), TYPE, []), RangeError);
  const cut = encode({ Hostname: 'hostname', Root: { Path: '/some/path' } });
  const edit = noEdit();
  dropField(edit, TYPE, ['Root', 'Path']);
  throws(() => applyEdit(cut.subarray(0, cut.length - 1), edit), RangeError);
  for (const bytes of [
    [0x80],
    [0x0d, 0, 0, 0, 0],
    [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    [0x0b],
    Array(11).fill(0x80),
  ]) {
    throws(() => applyEdit(Uint8Array.from(bytes), edit), RangeError);
  }
});

editing('any fields out of any spec', () => {
  const text = fc.string({ maxLength: 200 });
  const value = fc.record(
    {
      Version: text,
      Hostname: text,
      Root: fc.record({ Path: text, Readonly: fc.boolean() }, { requiredKeys: [] }),
      Mounts: fc.array(fc.record({ destination: text, options: fc.array(text) }), { minLength: 1 }),
      Annotations: fc.dictionary(text, text, { minKeys: 1, noNullPrototype: true }),
      Process: fc.record(
        { Cwd: text, OOMScoreAdj: fc.integer(), Args: fc.array(text, { minLength: 1 }) },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  );
  const paths = fc.subarray<FieldPath>([
    ['Version'],
    ['Hostname'],
    ['Root', 'Path'],
    ['Mounts'],
    ['Annotations'],
    ['Process', 'Args'],
    ['Process', 'OOMScoreAdj'],
  ]);
  fc.assert(
    fc.property(value, paths, (spec, chosen) => {
      const expected = reading('Spec', encode(spec)) as Values;
      for (const [outer, inner] of chosen) {
        if (inner === undefined) delete expected[outer as string];
        else delete (expected[outer as string] as Values | undefined)?.[inner];
      }
      deepStrictEqual(dropped(encode(spec), ...chosen), expected);
    }),
    { seed: 7, numRuns: 500 },
  );
});

editing.run();
