/** encoding/json with runtime-spec's types, as a process that is asked document by document. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Document } from '../../host/oci/fault.ts';
import { fetchPackages, unpack } from '../../setup/debian.ts';
import { buildGo, goPackages } from '../../setup/go-packages.ts';
import { DEBIAN_CACHE, GO, GO_CACHE, ROOT } from '../../setup/paths.ts';

/** As oci/main.go numbers them. */
const KINDS: Readonly<Record<Document, number>> = { Spec: 0, Process: 1, LinuxResources: 2 };
const VERDICTS = ['accepted', 'mistyped', 'not JSON'] as const;
const HEAD_BYTES = 5;

export interface Answer {
  readonly verdict: (typeof VERDICTS)[number];
  /** The document as Go writes it again, or why it was refused. */
  readonly text: string;
}

const directory = mkdtempSync(join(tmpdir(), 'kata-go-spec-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const program = join(directory, 'spec');

const packages = await goPackages(GO, DEBIAN_CACHE, () => {});
const specs = { suite: 'sid', name: 'golang-github-opencontainers-specs-dev' } as const;
for (const { file } of await fetchPackages([specs], DEBIAN_CACHE, () => {})) await unpack(file, directory);
const path = join(directory, 'usr/share/gocode');
await buildGo({ ...packages, path }, join(ROOT, 'test/interop/oci'), program, GO_CACHE);

/** Asks Go; the answers come in the order of the questions. */
export class GoSpec {
  readonly #child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  readonly #bytes = pieces(this.#child.stdout);
  #rest: Buffer = Buffer.alloc(0);

  async ask(document: Document, json: Uint8Array): Promise<Answer> {
    const head = Buffer.alloc(HEAD_BYTES);
    head[0] = KINDS[document];
    head.writeUInt32BE(json.length, 1);
    this.#child.stdin.write(Buffer.concat([head, json]));
    const answer = await this.#take(HEAD_BYTES);
    const verdict = VERDICTS[answer[0] as number];
    if (!verdict) throw new Error(`verdict ${answer[0]}`);
    return { verdict, text: (await this.#take(answer.readUInt32BE(1))).toString() };
  }

  close(): void {
    this.#child.stdin.end();
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#rest.length < length) {
      const { value, done } = await this.#bytes.next();
      if (done) throw new Error('the program has ended');
      this.#rest = Buffer.concat([this.#rest, value]);
    }
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}

function pieces(stream: Readable): AsyncIterator<Buffer> {
  return stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
}
