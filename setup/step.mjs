/**
 * A step of a set-up, shown while it lasts: its title, then the seconds it took. On a terminal the seconds count up.
 * Plain JavaScript, because bootstrap.mjs needs it before any npm package is there.
 */
const TICK_MS = 1000;

/**
 * Runs `work` under `title`.
 * @template T
 * @param {string} title what is done, e.g. "Debian packages qemu-system-x86"
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>} what `work` returned; a throw passes through after the line is ended with "failed"
 */
export async function step(title, work) {
  const out = process.stderr;
  const since = performance.now();
  const seconds = () => `${((performance.now() - since) / 1000).toFixed(1)} s`;
  out.write(`  ${title} ... `);
  const tick = out.isTTY ? setInterval(() => out.write(`\r  ${title} ... ${seconds()} `), TICK_MS) : undefined;
  try {
    const result = await work();
    out.write(`${out.isTTY ? `\r  ${title} ... ` : ''}${seconds()}\n`);
    return result;
  } catch (error) {
    out.write(`failed after ${seconds()}\n`);
    throw error;
  } finally {
    clearInterval(tick);
  }
}
