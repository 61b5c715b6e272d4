// Generated from proto/events_ttrpc.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type MessageType, message } from '../codec.ts';
import { Empty as google_Empty } from './google.ts';
import { Envelope as containerd_types_Envelope } from './containerd_types.ts';

export interface ForwardRequest {
  envelope: containerd_types_Envelope | undefined;
}
export const ForwardRequest: MessageType<ForwardRequest> = /* @__PURE__ */ message<ForwardRequest>('containerd.services.events.ttrpc.v1.ForwardRequest', () => [
  [1, 'envelope', containerd_types_Envelope],
]);

/** Methods of containerd.services.events.ttrpc.v1.Events: request and response. */
export const EventsService = {
  Forward: [ForwardRequest, google_Empty],
} as const;
export const EventsServiceName = 'containerd.services.events.ttrpc.v1.Events';
