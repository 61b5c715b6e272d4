/** The OCI translation: see share.ts. */
import { runShare } from './share.ts';

runShare('OCI', { oci: 250_000 });
