/* Pseudo-terminals of the guest itself: those of containers are made by crun. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "sys.h"

/* `/dev/pts/` and a number of at most ten digits. */
#define MAX_NAME 24

FUNCTION(open_terminal) {
  (void)self, (void)argc, (void)argv;
  unsigned int number;
  int locked = 0;
  char name[MAX_NAME];
  int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (master < 0) return throw_errno(ctx, "open", "/dev/ptmx");
  if (ioctl(master, TIOCSPTLCK, &locked) < 0 || ioctl(master, TIOCGPTN, &number) < 0) {
    int reason = errno;
    close(master);
    errno = reason;
    return throw_errno(ctx, "ioctl", "/dev/ptmx");
  }
  snprintf(name, sizeof(name), "/dev/pts/%u", number);
  JSValue result = JS_NewObject(ctx);
  set_int(ctx, result, "master", master);
  JS_DefinePropertyValueStr(ctx, result, "path", JS_NewString(ctx, name), JS_PROP_C_W_E);
  return result;
}

FUNCTION(set_window_size) {
  (void)self, (void)argc;
  int fd;
  int64_t rows, columns;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[1], 0, UINT16_MAX, &rows)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[2], 0, UINT16_MAX, &columns)) return JS_EXCEPTION;
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  return ioctl(fd, TIOCSWINSZ, &size) < 0 ? throw_errno(ctx, "TIOCSWINSZ", NULL) : JS_UNDEFINED;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("openTerminal", 0, open_terminal),
    JS_CFUNC_DEF("setWindowSize", 3, set_window_size),
};

void terminal_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
