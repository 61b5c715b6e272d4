/* TextEncoder and TextDecoder (UTF-8 only), which the protobuf codec needs and QuickJS does not have. */
#include <string.h>

#include "sys.h"

/* Lone surrogates come out of QuickJS as three bytes ED A0..BF xx, which is not UTF-8: they become U+FFFD, of the same length. */
static void replace_surrogates(uint8_t *data, size_t length) {
  uint8_t *end = data + length;
  for (uint8_t *at = data; (at = memchr(at, 0xed, (size_t)(end - at))) != NULL; at++) {
    if (end - at >= 3 && at[1] >= 0xa0) memcpy(at, "\xef\xbf\xbd", 3);
    if (end - at <= 1) return;
  }
}

FUNCTION(encode) {
  (void)self;
  if (argc < 1 || JS_IsUndefined(argv[0])) return JS_NewUint8ArrayCopy(ctx, NULL, 0);
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
  if (!text) return JS_EXCEPTION;
  JSValue array = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text, length);
  JS_FreeCString(ctx, text);
  if (JS_IsException(array)) return array;
  size_t size;
  uint8_t *data = JS_GetUint8Array(ctx, &size, array);
  if (data && size) replace_surrogates(data, size);
  return array;
}

FUNCTION(decode) {
  (void)self;
  if (argc < 1 || JS_IsUndefined(argv[0])) return JS_NewString(ctx, "");
  uint8_t *data;
  size_t length;
  if (!bytes_argument(ctx, argv[0], &data, &length)) return JS_EXCEPTION;
  return JS_NewStringLen(ctx, (const char *)data, length);
}

static JSValue construct(JSContext *ctx, JSValueConst target, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  JSValue prototype = JS_GetPropertyStr(ctx, target, "prototype");
  if (JS_IsException(prototype)) return prototype;
  JSValue object = JS_NewObjectProto(ctx, prototype);
  JS_FreeValue(ctx, prototype);
  return object;
}

static void define(JSContext *ctx, const char *name, const char *method, JSCFunction *body) {
  JSValue global = JS_GetGlobalObject(ctx);
  JSValue constructor = JS_NewCFunction2(ctx, construct, name, 0, JS_CFUNC_constructor, 0);
  JSValue prototype = JS_NewObject(ctx);
  JS_SetPropertyStr(ctx, prototype, method, JS_NewCFunction(ctx, body, method, 1));
  JS_SetConstructor(ctx, constructor, prototype);
  JS_SetPropertyStr(ctx, global, name, constructor);
  JS_FreeValue(ctx, prototype);
  JS_FreeValue(ctx, global);
}

void text_module(JSContext *ctx) {
  define(ctx, "TextEncoder", "encode", encode);
  define(ctx, "TextDecoder", "decode", decode);
}
