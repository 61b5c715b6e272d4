/** Puts the log where the configuration wants it. */
import type { Debugging } from '../config/debugging.ts';
import type { FifoLog, LogTarget } from './log.ts';

/** From now on the log has the configured level and targets. */
export async function configureLog(log: FifoLog, { logLevel: level, logTargets }: Debugging): Promise<void> {
  const others: LogTarget[] = [];
  if (logTargets.some((target) => target !== 'fifo')) {
    const { journalLog, syslogLog } = await import('./datagram-log.ts');
    if (logTargets.includes('journald')) others.push(journalLog());
    if (logTargets.includes('syslog')) others.push(syslogLog());
  }
  log.configure({ level, fifo: logTargets.includes('fifo'), others });
}
