/* Listening sockets, and descriptors that come over them. */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* After sys/socket.h: it needs sa_family_t. */
#include <linux/vm_sockets.h>

#include "sys.h"

#define BACKLOG 16
/* Descriptors looked at in one message; more than one is a mistake of the sender, and closed. */
#define MAX_PASSED_FDS 8

/* Binds and listens; -1 with errno set, and the socket closed, on failure. */
static int listen_on(int fd, const struct sockaddr *address, socklen_t length) {
  if (fd < 0) return -1;
  if (bind(fd, address, length) == 0 && listen(fd, BACKLOG) == 0) return fd;
  int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

static int listen_unix_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  struct stat st;
  if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) unlink(path);
  mode_t mask = umask(0177);
  int fd = listen_on(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), (struct sockaddr *)&address,
                     sizeof(address));
  int reason = errno;
  umask(mask);
  errno = reason;
  return fd;
}

FUNCTION(listen_unix) {
  (void)self, (void)argc;
  const char *path = text_argument(ctx, argv[0]);
  if (!path) return JS_EXCEPTION;
  int fd = listen_unix_at(path);
  JSValue result = fd < 0 ? throw_errno(ctx, "listen", path) : JS_NewInt32(ctx, fd);
  JS_FreeCString(ctx, path);
  return result;
}

FUNCTION(listen_vsock) {
  (void)self, (void)argc;
  int64_t port;
  if (!int_argument(ctx, argv[0], 0, UINT32_MAX, &port)) return JS_EXCEPTION;
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)port};
  int fd = listen_on(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), (struct sockaddr *)&address,
                     sizeof(address));
  return fd < 0 ? throw_errno(ctx, "listen on vsock", NULL) : JS_NewInt32(ctx, fd);
}

FUNCTION(accept_connection) {
  (void)self, (void)argc;
  int fd;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection >= 0) return JS_NewInt32(ctx, connection);
  /* A caller that has gone again is no caller. */
  if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return JS_NULL;
  return throw_errno(ctx, "accept", NULL);
}

/* The first descriptor of a message, -1 if it has none; others are closed. */
static int passed_fd(struct msghdr *message) {
  int found = -1;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      if (found < 0) found = fd;
      else close(fd);
    }
  }
  return found;
}

FUNCTION(receive_fd) {
  (void)self, (void)argc;
  int fd;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  char data[256];
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
  struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  ssize_t count;
  do count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  if (count < 0) return errno == EAGAIN ? JS_NULL : throw_errno(ctx, "recvmsg", NULL);
  int passed = passed_fd(&message);
  if (passed >= 0) return JS_NewInt32(ctx, passed);
  if (count > 0) return JS_NULL;
  errno = ECONNRESET;
  return throw_errno(ctx, "recvmsg", "closed before a descriptor came");
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("listenUnix", 1, listen_unix),
    JS_CFUNC_DEF("listenVsock", 1, listen_vsock),
    JS_CFUNC_DEF("accept", 1, accept_connection),
    JS_CFUNC_DEF("receiveFd", 1, receive_fd),
};

void socket_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
