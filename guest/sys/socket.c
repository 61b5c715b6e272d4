/* Sockets that listen or connect, and descriptors that come over them. */
#include <netinet/in.h>
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

FUNCTION(connect_tcp) {
  (void)self, (void)argc;
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  uint8_t *bytes;
  size_t length;
  int64_t port;
  if (!bytes_argument(ctx, argv[0], &bytes, &length) || !int_argument(ctx, argv[1], 1, UINT16_MAX, &port))
    return JS_EXCEPTION;
  if (length != sizeof(v4.sin_addr) && length != sizeof(v6.sin6_addr))
    return JS_ThrowTypeError(ctx, "an IP address has 4 or 16 bytes");
  bool six = length == sizeof(v6.sin6_addr);
  memcpy(six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr, bytes, length);
  v4.sin_port = v6.sin6_port = htons((uint16_t)port);
  int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return throw_errno(ctx, "connect", NULL);
  if (connect(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, six ? sizeof(v6) : sizeof(v4)) == 0 ||
      errno == EINPROGRESS)
    return JS_NewInt32(ctx, fd);
  int reason = errno;
  close(fd);
  errno = reason;
  return throw_errno(ctx, "connect", NULL);
}

FUNCTION(check_socket) {
  (void)self, (void)argc;
  int fd, error = 0;
  socklen_t size = sizeof(error);
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
  errno = error;
  return error ? throw_errno(ctx, "socket", NULL) : JS_UNDEFINED;
}

FUNCTION(shutdown_write) {
  (void)self, (void)argc;
  int fd;
  if (!fd_argument(ctx, argv[0], &fd)) return JS_EXCEPTION;
  return shutdown(fd, SHUT_WR) < 0 ? throw_errno(ctx, "shutdown", NULL) : JS_UNDEFINED;
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
    JS_CFUNC_DEF("connectTcp", 2, connect_tcp),
    JS_CFUNC_DEF("checkSocket", 1, check_socket),
    JS_CFUNC_DEF("shutdownWrite", 1, shutdown_write),
    JS_CFUNC_DEF("accept", 1, accept_connection),
    JS_CFUNC_DEF("receiveFd", 1, receive_fd),
};

void socket_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
