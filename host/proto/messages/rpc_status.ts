// Generated from proto/rpc_status.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Any as google_Any } from './google.ts';

export interface Status {
  code: number;
  message: string;
  details: google_Any[];
}
export const Status: MessageType<Status> = /* @__PURE__ */ message<Status>('google.rpc.Status', () => [
  [1, 'code', 'int32'],
  [2, 'message', 'string'],
  [3, 'details', google_Any, 'repeated'],
]);
