// The system calls Node has no words for, so that the guest agent's own code can be tested on it against real processes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 8

static napi_value fail(napi_env env, const char *what) {
  char text[128];
  int number = errno;
  snprintf(text, sizeof text, "%s: %s", what, strerror(number));
  napi_throw_error(env, strerrorname_np(number), text);
  return NULL;
}

static size_t arguments(napi_env env, napi_callback_info info, napi_value *out) {
  size_t count = MAX_ARGUMENTS;
  napi_get_cb_info(env, info, &count, out, NULL, NULL);
  return count;
}

static int32_t integer(napi_env env, napi_value value) {
  int32_t out = 0;
  napi_get_value_int32(env, value, &out);
  return out;
}

static char *text(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, NULL, 0, &length);
  char *out = malloc(length + 1);
  napi_get_value_string_utf8(env, value, out, length + 1, &length);
  return out;
}

static char **texts(napi_env env, napi_value array) {
  uint32_t count = 0;
  napi_get_array_length(env, array, &count);
  char **out = calloc(count + 1, sizeof *out);
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    napi_get_element(env, array, i, &item);
    out[i] = text(env, item);
  }
  return out;
}

static void free_texts(char **list) {
  for (char **item = list; *item; item++) free(*item);
  free(list);
}

static napi_value number(napi_env env, double value) {
  napi_value out;
  napi_create_double(env, value, &out);
  return out;
}

static napi_value nothing(napi_env env) {
  napi_value out;
  napi_get_null(env, &out);
  return out;
}

static napi_value subreaper(napi_env env, napi_callback_info info) {
  (void)info;
  if (prctl(PR_SET_CHILD_SUBREAPER, 1)) return fail(env, "prctl");
  return nothing(env);
}

// spawn(argv, env, [stdin, stdout, stderr], cwd, newSession)
static napi_value spawn(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char **argv = texts(env, a[0]);
  char **envp = texts(env, a[1]);
  int fds[3];
  for (int i = 0; i < 3; i++) {
    napi_value item;
    napi_get_element(env, a[2], i, &item);
    fds[i] = integer(env, item);
  }
  char *cwd = text(env, a[3]);
  bool session = false;
  napi_get_value_bool(env, a[4], &session);
  int report[2];
  if (pipe2(report, O_CLOEXEC)) return fail(env, "pipe2");
  pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (session) setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int high[3];
    for (int i = 0; i < 3; i++) high[i] = fcntl(fds[i] < 0 ? null : fds[i], F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++) dup2(high[i], i);
    if (*cwd == 0 || chdir(cwd) == 0) {
      close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
      execve(argv[0], argv, envp);
    }
    int number = errno;
    if (write(report[1], &number, sizeof number) < 0) _exit(126);
    _exit(127);
  }
  int forked = errno;
  close(report[1]);
  int number_ = 0;
  ssize_t got = pid > 0 ? read(report[0], &number_, sizeof number_) : 0;
  close(report[0]);
  char name[200];
  snprintf(name, sizeof name, "spawn %s", argv[0]);
  free_texts(argv);
  free_texts(envp);
  free(cwd);
  if (pid < 0) {
    errno = forked;
    return fail(env, "fork");
  }
  if (got > 0) {
    waitpid(pid, NULL, 0);
    errno = number_;
    return fail(env, name);
  }
  return number(env, pid);
}

// reap(): [pid, status, pid, status, …]
static napi_value reap(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  napi_create_array(env, &out);
  uint32_t at = 0;
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    napi_set_element(env, out, at++, number(env, pid));
    napi_set_element(env, out, at++, number(env, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
  }
  return out;
}

// read(fd, buffer): bytes, null for EAGAIN
static napi_value read_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  void *data;
  size_t length;
  napi_get_typedarray_info(env, a[1], NULL, &length, &data, NULL, NULL);
  ssize_t got = read(integer(env, a[0]), data, length);
  if (got < 0 && errno == EIO) got = 0;
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return nothing(env);
  if (got < 0) return fail(env, "read");
  return number(env, got);
}

static napi_value write_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  void *data;
  size_t length;
  napi_get_typedarray_info(env, a[1], NULL, &length, &data, NULL, NULL);
  ssize_t put = write(integer(env, a[0]), data, length);
  if (put < 0 && (errno == EAGAIN || errno == EINTR)) put = 0;
  if (put < 0) return fail(env, "write");
  return number(env, put);
}

static napi_value pipe_(napi_env env, napi_callback_info info) {
  (void)info;
  int fds[2];
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK)) return fail(env, "pipe2");
  napi_value out;
  napi_create_array(env, &out);
  napi_set_element(env, out, 0, number(env, fds[0]));
  napi_set_element(env, out, 1, number(env, fds[1]));
  return out;
}

// splice(from, to, most): bytes, null for EAGAIN
static napi_value splice_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  int most = integer(env, a[2]), done = 0;
  while (done < most) {
    ssize_t moved = splice(integer(env, a[0]), NULL, integer(env, a[1]), NULL, most - done, SPLICE_F_NONBLOCK);
    if (moved <= 0 && done > 0) break;
    if (moved < 0 && errno == EAGAIN) return nothing(env);
    if (moved < 0) return fail(env, "splice");
    if (moved == 0) break;
    done += moved;
  }
  return number(env, done);
}

static napi_value pipe_size(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  if (fcntl(integer(env, a[0]), F_SETPIPE_SZ, integer(env, a[1])) < 0) return fail(env, "fcntl");
  return nothing(env);
}

static napi_value nonblocking(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  int fd = integer(env, a[0]);
  bool on = false;
  napi_get_value_bool(env, a[1], &on);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK)) return fail(env, "fcntl");
  return nothing(env);
}

static napi_value listen_unix(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char *path = text(env, a[0]);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) {
    free(path);
    errno = ENAMETOOLONG;
    return fail(env, "listen");
  }
  memcpy(address.sun_path, path, length);
  free(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8)) return fail(env, "listen");
  return number(env, fd);
}

static napi_value accept_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  int fd = accept4(integer(env, a[0]), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 && errno == EAGAIN) return nothing(env);
  if (fd < 0) return fail(env, "accept");
  return number(env, fd);
}

static napi_value receive_fd(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char data[4096];
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec vector = {data, sizeof data};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(integer(env, a[0]), &message, MSG_CMSG_CLOEXEC);
  if (got < 0 && errno == EAGAIN) return nothing(env);
  if (got < 0) return fail(env, "recvmsg");
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_type != SCM_RIGHTS) {
    errno = EPROTO;
    return fail(env, "recvmsg");
  }
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return number(env, fd);
}

static napi_value window_size(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  struct winsize size = {.ws_row = integer(env, a[1]), .ws_col = integer(env, a[2])};
  if (ioctl(integer(env, a[0]), TIOCSWINSZ, &size)) return fail(env, "TIOCSWINSZ");
  return nothing(env);
}

static napi_value mount_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char *source = text(env, a[0]), *target = text(env, a[1]), *type = text(env, a[2]), *data = text(env, a[4]);
  int rc = mount(source, target, type, (unsigned)integer(env, a[3]), data);
  free(source), free(target), free(type), free(data);
  if (rc) return fail(env, "mount");
  return nothing(env);
}

static napi_value umount_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char *target = text(env, a[0]);
  int rc = umount2(target, integer(env, a[1]));
  free(target);
  if (rc) return fail(env, "umount");
  return nothing(env);
}

static napi_value mknod_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char *path = text(env, a[0]);
  int rc = mknod(path, integer(env, a[1]), makedev(integer(env, a[2]), integer(env, a[3])));
  free(path);
  if (rc) return fail(env, "mknod");
  return nothing(env);
}

// holdNamespaces(hostname): the pid of a process that sleeps in new IPC, UTS and pid namespaces
static napi_value hold(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  char *name = text(env, a[0]);
  int ready[2];
  if (pipe2(ready, O_CLOEXEC)) return fail(env, "pipe2");
  pid_t pid = syscall(SYS_clone, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char ok = sethostname(name, strlen(name)) == 0;
    close_range(0, ready[1] - 1, 0);
    if (write(ready[1], &ok, 1) < 0) _exit(1);
    close_range(ready[1], ~0U, 0);
    for (;;) pause();
  }
  close(ready[1]);
  char ok = 0;
  if (read(ready[0], &ok, 1) < 0) ok = 0;
  close(ready[0]);
  free(name);
  if (pid < 0 || !ok) {
    errno = EPERM;
    return fail(env, "unshare");
  }
  return number(env, pid);
}

// poll(fds, events, timeoutMs): revents
static napi_value poll_(napi_env env, napi_callback_info info) {
  napi_value a[MAX_ARGUMENTS];
  arguments(env, info, a);
  uint32_t count = 0;
  napi_get_array_length(env, a[0], &count);
  struct pollfd *list = calloc(count + 1, sizeof *list);
  napi_value out;
  napi_create_array(env, &out);
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    napi_get_element(env, a[0], i, &item);
    list[i].fd = integer(env, item);
    napi_get_element(env, a[1], i, &item);
    list[i].events = integer(env, item);
  }
  poll(list, count, integer(env, a[2]));
  for (uint32_t i = 0; i < count; i++) napi_set_element(env, out, i, number(env, list[i].revents));
  free(list);
  return out;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback call;
  } table[] = {{"subreaper", subreaper}, {"spawn", spawn},           {"reap", reap},
               {"read", read_},          {"write", write_},          {"pipe", pipe_},
               {"nonblocking", nonblocking}, {"listenUnix", listen_unix}, {"accept", accept_},
               {"receiveFd", receive_fd},    {"windowSize", window_size}, {"mount", mount_},
               {"umount", umount_},      {"mknod", mknod_},          {"hold", hold},
               {"poll", poll_},          {"splice", splice_},        {"pipeSize", pipe_size}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    napi_value function;
    napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].call, NULL, &function);
    napi_set_named_property(env, exports, table[i].name, function);
  }
  return exports;
}
