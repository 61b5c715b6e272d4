/* Arguments from JavaScript. The agent is type-checked; these checks keep a bug there from becoming memory damage here. */
#include <string.h>

#include "sys.h"

const char *text_argument(JSContext *ctx, JSValueConst value) {
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, value);
  if (!text) return NULL;
  if (strlen(text) != length) {
    JS_FreeCString(ctx, text);
    errno = EINVAL;
    throw_errno(ctx, "a text with a NUL byte", NULL);
    return NULL;
  }
  return text;
}

bool int_argument(JSContext *ctx, JSValueConst value, int64_t low, int64_t high, int64_t *out) {
  if (JS_ToInt64(ctx, out, value)) return false;
  if (*out >= low && *out <= high) return true;
  JS_ThrowRangeError(ctx, "%lld is not within %lld and %lld", (long long)*out, (long long)low, (long long)high);
  return false;
}

bool fd_argument(JSContext *ctx, JSValueConst value, int *fd) {
  int64_t number;
  if (!int_argument(ctx, value, 0, INT32_MAX, &number)) return false;
  *fd = (int)number;
  return true;
}

bool bytes_argument(JSContext *ctx, JSValueConst value, uint8_t **data, size_t *length) {
  *data = JS_GetUint8Array(ctx, length, value);
  if (*data || *length == 0) {
    /* An empty array may have no memory at all, but it must be an array. */
    if (*data || JS_GetTypedArrayType(value) == JS_TYPED_ARRAY_UINT8) return true;
  }
  if (!JS_HasException(ctx)) JS_ThrowTypeError(ctx, "not a Uint8Array");
  return false;
}

void set_int(JSContext *ctx, JSValueConst object, const char *name, int64_t value) {
  JS_DefinePropertyValueStr(ctx, object, name, JS_NewInt64(ctx, value), JS_PROP_C_W_E);
}
