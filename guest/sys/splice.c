/* Bytes that pass from one descriptor to another inside the kernel: a process's output on its way to the agent's channel. */
#include <fcntl.h>

#include "sys.h"

/*
 * splice(from, to, most): moves up to `most` bytes, one of the two being a pipe, until they are moved, `from` is empty or `to` takes no
 * more. Bytes moved; 0: the end of `from`; -1: nothing can be moved now.
 *
 * A virtio-serial port takes the pages themselves, and so does a unix socket; pipe to pipe nothing but a reference is moved.
 */
FUNCTION(splice_fds) {
  (void)self, (void)argc;
  int from, to;
  int64_t most;
  size_t done = 0;
  if (!fd_argument(ctx, argv[0], &from) || !fd_argument(ctx, argv[1], &to)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[2], 1, MAX_READ_BYTES, &most)) return JS_EXCEPTION;
  while (done < (size_t)most) {
    ssize_t count = splice(from, NULL, to, NULL, (size_t)most - done, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count < 0 && errno == EINTR) continue;
    /* What was moved before an error or the end is told first; the next call meets it again. */
    if (count <= 0 && done > 0) break;
    if (count < 0) return errno == EAGAIN ? JS_NewInt32(ctx, -1) : throw_errno(ctx, "splice", NULL);
    if (count == 0) break;
    done += (size_t)count;
  }
  return JS_NewInt64(ctx, (int64_t)done);
}

/* setPipeSize(fd, bytes): makes a pipe hold so much. False where the kernel's limits forbid it. */
FUNCTION(set_pipe_size) {
  (void)self, (void)argc;
  int fd;
  int64_t bytes;
  if (!fd_argument(ctx, argv[0], &fd) || !int_argument(ctx, argv[1], 1, MAX_READ_BYTES, &bytes)) return JS_EXCEPTION;
  if (fcntl(fd, F_SETPIPE_SZ, (int)bytes) >= 0) return JS_TRUE;
  return errno == EPERM || errno == EBUSY || errno == ENOMEM ? JS_FALSE : throw_errno(ctx, "fcntl", NULL);
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("splice", 3, splice_fds),
    JS_CFUNC_DEF("setPipeSize", 2, set_pipe_size),
};

void splice_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
