/* Failed system calls as exceptions: SysError { code: 'ENOENT', message: 'open /x: No such file or directory' }. */
#include <stdio.h>
#include <string.h>

#include "sys.h"

/* Longest message, bytes; a path is cut, not the reason before it. */
#define MAX_MESSAGE_BYTES 512

struct errno_name {
  int number;
  const char *name;
};

#define NAME(e) {e, #e}
static const struct errno_name names[] = {
    NAME(EPERM),        NAME(ENOENT),       NAME(ESRCH),        NAME(EINTR),       NAME(EIO),
    NAME(ENXIO),        NAME(E2BIG),        NAME(ENOEXEC),      NAME(EBADF),       NAME(ECHILD),
    NAME(EAGAIN),       NAME(ENOMEM),       NAME(EACCES),       NAME(EFAULT),      NAME(ENOTBLK),
    NAME(EBUSY),        NAME(EEXIST),       NAME(EXDEV),        NAME(ENODEV),      NAME(ENOTDIR),
    NAME(EISDIR),       NAME(EINVAL),       NAME(ENFILE),       NAME(EMFILE),      NAME(ENOTTY),
    NAME(ETXTBSY),      NAME(EFBIG),        NAME(ENOSPC),       NAME(ESPIPE),      NAME(EROFS),
    NAME(EMLINK),       NAME(EPIPE),        NAME(EDOM),         NAME(ERANGE),      NAME(EDEADLK),
    NAME(ENAMETOOLONG), NAME(ENOSYS),       NAME(ENOTEMPTY),    NAME(ELOOP),       NAME(ENODATA),
    NAME(ETIME),        NAME(EPROTO),       NAME(EOVERFLOW),    NAME(EUSERS),      NAME(ENOTSOCK),
    NAME(EDESTADDRREQ), NAME(EMSGSIZE),     NAME(EPROTOTYPE),   NAME(ENOPROTOOPT), NAME(EPROTONOSUPPORT),
    NAME(EOPNOTSUPP),   NAME(EAFNOSUPPORT), NAME(EADDRINUSE),   NAME(EADDRNOTAVAIL), NAME(ENETDOWN),
    NAME(ENETUNREACH),  NAME(ECONNABORTED), NAME(ECONNRESET),   NAME(ENOBUFS),     NAME(ENOTCONN),
    NAME(ETIMEDOUT),    NAME(ECONNREFUSED), NAME(EHOSTUNREACH), NAME(EALREADY),    NAME(EINPROGRESS),
    NAME(ESTALE),       NAME(EDQUOT),       NAME(ENOMEDIUM),    NAME(ECANCELED),   NAME(ENOKEY),
    NAME(EKEYREJECTED),
};

/* The class the agent knows as SysError; set once by errorPrototype. */
static JSValue prototype;
static bool has_prototype;

static const char *name_of(int number) {
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (names[i].number == number) return names[i].name;
  return "EUNKNOWN";
}

JSValue throw_errno(JSContext *ctx, const char *what, const char *detail) {
  int number = errno;
  char message[MAX_MESSAGE_BYTES];
  snprintf(message, sizeof(message), "%s: %s%s%s", what, strerror(number), detail ? ": " : "", detail ? detail : "");
  JSValue error = JS_NewError(ctx);
  if (JS_IsException(error)) return error;
  JS_DefinePropertyValueStr(ctx, error, "message", JS_NewString(ctx, message), JS_PROP_C_W_E);
  JS_DefinePropertyValueStr(ctx, error, "code", JS_NewString(ctx, name_of(number)), JS_PROP_C_W_E);
  JS_DefinePropertyValueStr(ctx, error, "name", JS_NewString(ctx, "SysError"), JS_PROP_C_W_E);
  if (has_prototype) JS_SetPrototype(ctx, error, prototype);
  return JS_Throw(ctx, error);
}

/* errorPrototype(prototype): what is thrown from here on is `instanceof` its class. */
FUNCTION(error_prototype) {
  (void)self, (void)argc;
  if (has_prototype) JS_FreeValue(ctx, prototype);
  has_prototype = true;
  prototype = JS_DupValue(ctx, argv[0]);
  return JS_UNDEFINED;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("errorPrototype", 1, error_prototype),
};

void error_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
