import { KataError } from '../../../host/error.ts';

/** The error that something fails with. @throws Error where it does not, or with another kind of error */
export async function failure(promise: Promise<unknown>): Promise<KataError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof KataError) return error;
    throw error;
  }
  throw new Error('no failure');
}
