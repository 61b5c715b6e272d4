// Generated from proto/runtimeoptions.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';

export interface Options {
  type_url: string;
  config_path: string;
  config_body: Uint8Array;
}
export const Options: MessageType<Options> = /* @__PURE__ */ message<Options>('runtimeoptions.v1.Options', () => [
  [1, 'type_url', 'string'],
  [2, 'config_path', 'string'],
  [3, 'config_body', 'bytes'],
]);
