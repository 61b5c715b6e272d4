// Generated from proto/extension.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Empty as google_Empty } from './google.ts';

export interface ExtensionRequest {
  device: string;
}
export const ExtensionRequest: MessageType<ExtensionRequest> = /* @__PURE__ */ message<ExtensionRequest>('kata.edge.ExtensionRequest', () => [
  [1, 'device', 'string'],
]);

/** Methods of kata.edge.Extension: request and response. */
export const ExtensionService = {
  Add: [ExtensionRequest, google_Empty],
} as const;
export const ExtensionServiceName = 'kata.edge.Extension';
