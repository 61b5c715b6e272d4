/** Imported for its effect: what a test file has started is ended on `exit`, which a signal alone does not bring about. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
