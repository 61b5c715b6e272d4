/** A command typed into a shell: what is its output, in whatever pieces, and what a hostile guest makes of it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { MAX_GREETING_BYTES, MAX_LINE_BYTES, TypedCommand } from '../../../host/management/typed-command.ts';
import { Random } from '../../fuzz/random.ts';

const typed = suite('a typed command');
const NONCE = '0123456789abcdef';
const SAID = `Welcome!\r\n# stty -echo; printf '%s%s\\n' BEGIN_ ${NONCE}; …\r\nBEGIN_${NONCE}\nout\nEND_012 no end\nEND_${NONCE} x\nEND`;

function code(act: () => unknown): string {
  try {
    act();
  } catch (thrown) {
    return (thrown as KataError).code;
  }
  return 'nothing was thrown';
}

typed('every cut gives the same output and status', async () => {
  const said = Buffer.from(`${SAID}END_${NONCE} 42\r\nlogout\r\n`);
  for (let first = 0; first <= said.length; first++) {
    const command = new TypedCommand(['true'], NONCE);
    const second = first + ((said.length - first) >> 1);
    const pieces = [said.subarray(0, first), said.subarray(first, second), said.subarray(second)];
    const output = Buffer.concat(pieces.map((piece) => command.take(piece)));
    assert.is(output.toString(), `out\nEND_012 no end\nEND_${NONCE} x\nEND`, `cut at ${first}`);
    assert.is(command.status, 42);
    await command.begun;
  }
});

typed('its words are typed as they are, and its marks are not in the line', () => {
  const { line } = new TypedCommand(['echo', "it's", '$HOME `id`'], NONCE);
  assert.match(line.toString(), ` 'echo' 'it'\\''s' '$HOME \`id\`'; `);
  assert.not.match(line.toString(), `BEGIN_${NONCE}`);
  assert.not.match(line.toString(), `END_${NONCE}`);
  assert.is(line.toString().split('\n').length, 2);
});

typed('what no terminal takes is refused', () => {
  for (const args of [['a\nb'], ['\x03'], ['\x7f'], ['x'.repeat(MAX_LINE_BYTES)]]) {
    assert.is(
      code(() => new TypedCommand(args)),
      'invalid_argument',
    );
  }
});

typed('a shell that talks and talks is left', () => {
  const command = new TypedCommand(['true'], NONCE);
  command.take(Buffer.alloc(MAX_GREETING_BYTES, 'x'));
  assert.is(
    code(() => command.take(Buffer.from('x'))),
    'unavailable',
  );
});

typed('statuses beyond three digits, and marks without an end, are output', () => {
  const random = new Random(11);
  const parts = [`END_${NONCE} `, `END_${NONCE}`, '1', '12345', '\n', 'END_', 'x', ' ', '7\n'];
  for (let round = 0; round < 20_000; round++) {
    const command = new TypedCommand(['true'], NONCE);
    command.take(Buffer.from(`BEGIN_${NONCE}\n`));
    let said = '';
    let output = '';
    for (let piece = random.below(10); piece > 0 && command.status === undefined; piece--) {
      const part = random.pick(parts);
      said += part;
      output += command.take(Buffer.from(part));
    }
    // The first mark that is whole ends it; what comes before is output, to the byte.
    const end = new RegExp(`END_${NONCE} (\\d{1,3})\n`).exec(said);
    assert.is(command.status, end ? Number(end[1]) : undefined, JSON.stringify(said));
    assert.ok((end ? said.slice(0, end.index) : said).startsWith(output), JSON.stringify([said, output]));
    if (end) assert.is(output, said.slice(0, end.index));
    else assert.ok(said.length - output.length <= `END_${NONCE} 123\r`.length, 'no more than a mark is held back');
  }
});

typed.run();
