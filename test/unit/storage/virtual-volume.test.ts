/** Root file systems that the guest pulls by itself. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import type { Mount } from '../../../host/proto/messages/containerd_types.ts';
import { forcedPull, guestPull, MAX_DESCRIPTION_LENGTH } from '../../../host/storage/virtual-volume.ts';

const IMAGE = 'io.kubernetes.cri.image-name';
const test = suite('virtual volumes');

function mountOf(...descriptions: readonly unknown[]): Mount {
  const option = (text: string) => `io.katacontainers.volume=${Buffer.from(text).toString('base64')}`;
  const options = descriptions.map((each) => option(typeof each === 'string' ? each : JSON.stringify(each)));
  return { type: 'fuse.nydus-overlayfs', source: 'overlay', target: '', options: ['ro', ...options] };
}

const container = (annotations: Record<string, string>) => ({ containerType: 'pod_container' as const, annotations });

function refusal(mount: Mount, origin = container({ [IMAGE]: 'docker.io/library/x:1' })): KataError {
  try {
    guestPull('c', [mount], origin);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('it was accepted');
}

test('other mounts are none of it', () => {
  assert.is(guestPull('c', []), undefined);
  assert.is(
    guestPull('c', [{ type: 'overlay', source: 'overlay', target: '', options: ['lowerdir=/a:/b'] }]),
    undefined,
  );
});

test('the guest is told image, metadata and annotations, as Kata tells it', () => {
  const volume = { volume_type: 'image_guest_pull', image_pull: { metadata: { 'snapshot.ref': 'sha256:1' } } };
  const annotations = { [IMAGE]: 'docker.io/library/x:1', other: '"quoted" ü' };
  const found = guestPull('c', [mountOf(volume)], container(annotations));
  assert.is(found?.path, '/run/kata-containers/c/rootfs');
  const [storage] = found?.storages ?? [];
  assert.equal(
    [storage?.driver, storage?.source, storage?.fstype, storage?.mount_point],
    ['image_guest_pull', 'docker.io/library/x:1', 'overlay', '/run/kata-containers/c/rootfs'],
  );
  const [option = ''] = storage?.driver_options ?? [];
  assert.ok(option.startsWith('image_guest_pull='));
  assert.equal(JSON.parse(option.slice('image_guest_pull='.length)), {
    metadata: { 'snapshot.ref': 'sha256:1', ...annotations },
  });
});

test("the pause container's image is the guest's own; CRI-O names images otherwise; metadata may be missing", () => {
  const mount = mountOf({ volume_type: 'image_guest_pull' });
  const source = (origin: Parameters<typeof guestPull>[2]) => guestPull('c', [mount], origin)?.storages[0]?.source;
  assert.is(source({ containerType: 'pod_sandbox', annotations: {} }), 'pause');
  assert.is(source(container({ 'io.kubernetes.cri-o.ImageName': 'quay.io/y' })), 'quay.io/y');
  assert.is(source({ containerType: 'single_container', annotations: { [IMAGE]: 'z' } }), 'z');
});

test('forced, the guest pulls what the annotations name', () => {
  const [storage] = forcedPull('c', container({ [IMAGE]: 'docker.io/library/x:1' })).storages;
  assert.equal([storage?.driver, storage?.source], ['image_guest_pull', 'docker.io/library/x:1']);
  assert.equal(storage?.driver_options, [`image_guest_pull={"metadata":{"${IMAGE}":"docker.io/library/x:1"}}`]);
  assert.throws(() => forcedPull('c'), /has to be told the image's name/);
});

test('what cannot be understood is refused', () => {
  const pull = { volume_type: 'image_guest_pull' };
  assert.match(refusal(mountOf('no json')).message, /no base64 of JSON/);
  assert.match(refusal(mountOf('[1]')).message, /of type undefined/);
  assert.is(refusal(mountOf({ volume_type: 'image_raw_block' })).code, 'unimplemented');
  assert.is(refusal(mountOf(pull, pull)).code, 'unimplemented');
  assert.match(refusal(mountOf({ ...pull, image_pull: { metadata: { a: 1 } } })).message, /object of strings/);
  assert.match(refusal(mountOf(pull), container({})).message, /io\.kubernetes\.cri\.image-name/);
  const long = JSON.stringify({ ...pull, source: 'x'.repeat(MAX_DESCRIPTION_LENGTH) });
  assert.match(refusal(mountOf(long)).message, /at most 262144/);
});

test.run();
