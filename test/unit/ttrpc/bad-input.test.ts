import { badInput } from './bad-input.ts';

badInput('release WASM');
