import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { escapeText, oneLine, TAIL_BYTES, Tail } from '../../../host/tail.ts';
import { Random } from '../../fuzz/random.ts';

const tail = suite('tail of hostile text');

tail('keeps the end, however it arrives', () => {
  const text = new Tail(8);
  for (const part of ['abc', 'defgh', '', 'ij']) text.push(Buffer.from(part));
  assert.is(text.text(), 'cdefghij');
  text.push(Buffer.from('0123456789abcdef'));
  assert.is(text.text(), '89abcdef');
});

tail('is the end of all that was said, at every limit and in every piece', () => {
  const random = new Random(7);
  for (let round = 0; round < 3000; round++) {
    const limit = 1 + random.below(24);
    const text = new Tail(limit);
    let said = '';
    for (let piece = random.below(12); piece > 0; piece--) {
      const part = Array.from({ length: random.below(2 * limit + 2) }, () => random.pick([...'abcdefghij'])).join('');
      text.push(Buffer.from(part));
      said += part;
      assert.is(text.text(), said.slice(-limit));
    }
  }
});

tail('never exceeds its limit, escapes included', () => {
  const text = new Tail();
  text.push(Buffer.alloc(TAIL_BYTES + 1, 0x1b));
  assert.ok(Buffer.byteLength(text.text()) <= TAIL_BYTES);
  assert.ok(Buffer.byteLength(text.text()) > TAIL_BYTES - 4);
});

tail('cuts at characters', () => {
  const text = new Tail(5);
  text.push(Buffer.from('ééé'));
  assert.not(text.text().startsWith('é\ufffd'));
  assert.ok(Buffer.byteLength(text.text()) <= 5);
  assert.ok(text.text().endsWith('éé'));
});

tail('shows what a terminal would obey', () => {
  assert.is(escapeText('a\x1b[31mred\x07\x9b\r\nb'), 'a\\x1b[31mred\\x07\\x9b\nb');
  assert.is(escapeText('\u202egnp.exe'), '\\u{202e}gnp.exe');
  assert.is(escapeText('naïve ✓'), 'naïve ✓');
});

tail('one line for an error message, cut at the front', () => {
  assert.is(oneLine(' a \n\n  b\n'), 'a | b');
  assert.is(oneLine('x'.repeat(20), 10), `…${'x'.repeat(10)}`);
});

tail.run();
