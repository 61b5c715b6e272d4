/* Children: starting, ending, holding namespaces. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"

/* Most arguments, and most environment variables, of one command. */
#define MAX_STRINGS 65536
/* Longest host name, bytes (HOST_NAME_MAX). */
#define MAX_HOSTNAME_BYTES 64
/* The user and group that own nothing. */
#define NOBODY 65534

void free_strings(char **strings) {
  if (!strings) return;
  for (char **at = strings; *at; at++) free(*at);
  free(strings);
}

char **strings_of(JSContext *ctx, JSValueConst object, const char *name) {
  JSValue list = JS_GetPropertyStr(ctx, object, name);
  int64_t count;
  char **strings = NULL;
  if (!JS_IsException(list) && JS_GetLength(ctx, list, &count) == 0) {
    if (count > MAX_STRINGS) JS_ThrowRangeError(ctx, "%s has more than %d entries", name, MAX_STRINGS);
    else if (!(strings = calloc((size_t)count + 1, sizeof(char *)))) JS_ThrowOutOfMemory(ctx);
    for (int64_t i = 0; strings && i < count; i++) {
      JSValue item = JS_GetPropertyInt64(ctx, list, i);
      const char *text = JS_IsException(item) ? NULL : text_argument(ctx, item);
      strings[i] = text ? strdup(text) : NULL;
      if (!strings[i]) {
        if (text) JS_ThrowOutOfMemory(ctx);
        free_strings(strings);
        strings = NULL;
      }
      JS_FreeCString(ctx, text);
      JS_FreeValue(ctx, item);
    }
  }
  JS_FreeValue(ctx, list);
  return strings;
}

bool stdio_of(JSContext *ctx, JSValueConst options, int copies[3]) {
  JSValue list = JS_GetPropertyStr(ctx, options, "stdio");
  bool good = !JS_IsException(list);
  for (int i = 0; good && i < 3; i++) {
    JSValue item = JS_GetPropertyUint32(ctx, list, (uint32_t)i);
    int64_t fd = -1;
    good = int_argument(ctx, item, -1, INT32_MAX, &fd);
    JS_FreeValue(ctx, item);
    if (!good) break;
    copies[i] = fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    if (copies[i] < 0) {
      throw_errno(ctx, "spawn", "stdio");
      good = false;
    }
  }
  JS_FreeValue(ctx, list);
  return good;
}

/* What a program is started with; NULL: nothing said. */
struct start {
  int stdio[3];
  const char *cwd;
  /* Path of a terminal that becomes its controlling one, in place of stdio. */
  const char *terminal;
  bool session;
};

/* posix_spawn shares memory until exec: a fork's page tables of a large agent are never copied. 0 or an errno. */
static int spawn_with(char **argv, char **env, const struct start *start, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (start->session ? POSIX_SPAWN_SETSID : 0);
  int reason = posix_spawn_file_actions_init(&actions);
  if (reason) return reason;
  if (!(reason = posix_spawnattr_init(&attributes))) {
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, flags);
    /* The session has begun by then: the terminal that its leader opens is its own. */
    if (start->terminal) reason = posix_spawn_file_actions_addopen(&actions, 0, start->terminal, O_RDWR, 0);
    for (int i = start->terminal ? 1 : 0; i < 3 && !reason; i++)
      reason = posix_spawn_file_actions_adddup2(&actions, start->terminal ? 0 : start->stdio[i], i);
    if (!reason && start->cwd) reason = posix_spawn_file_actions_addchdir_np(&actions, start->cwd);
    if (!reason) reason = posix_spawnp(pid, argv[0], &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return reason;
}

/* A text that need not be there. False after having thrown. */
static bool optional_text(JSContext *ctx, JSValueConst options, const char *name, const char **text) {
  JSValue value = JS_GetPropertyStr(ctx, options, name);
  bool good = !JS_IsException(value);
  if (good && !JS_IsUndefined(value)) good = (*text = text_argument(ctx, value)) != NULL;
  JS_FreeValue(ctx, value);
  return good;
}

FUNCTION(spawn_process) {
  (void)self, (void)argc;
  JSValue result = JS_EXCEPTION;
  struct start start = {.stdio = {-1, -1, -1}};
  JSValue session = JS_GetPropertyStr(ctx, argv[0], "newSession");
  char **arguments = strings_of(ctx, argv[0], "argv");
  char **env = arguments ? strings_of(ctx, argv[0], "env") : NULL;
  if (!env || !optional_text(ctx, argv[0], "cwd", &start.cwd)) goto out;
  if (!optional_text(ctx, argv[0], "terminal", &start.terminal)) goto out;
  if (!start.terminal && !stdio_of(ctx, argv[0], start.stdio)) goto out;
  if (!arguments[0]) {
    result = JS_ThrowTypeError(ctx, "spawn: argv is empty");
    goto out;
  }
  start.session = start.terminal || JS_ToBool(ctx, session) > 0;
  pid_t pid;
  errno = spawn_with(arguments, env, &start, &pid);
  result = errno ? throw_errno(ctx, "spawn", arguments[0]) : JS_NewInt32(ctx, pid);
out:
  for (int i = 0; i < 3; i++)
    if (start.stdio[i] >= 0) close(start.stdio[i]);
  JS_FreeCString(ctx, start.cwd);
  JS_FreeCString(ctx, start.terminal);
  free_strings(arguments);
  free_strings(env);
  JS_FreeValue(ctx, session);
  return result;
}

FUNCTION(reap_children) {
  (void)self, (void)argc, (void)argv;
  JSValue list = JS_NewArray(ctx);
  if (!children_changed()) return list;
  uint32_t count = 0;
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    JSValue reaped = JS_NewObject(ctx);
    set_int(ctx, reaped, "pid", pid);
    set_int(ctx, reaped, "status", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    JS_DefinePropertyValueUint32(ctx, list, count++, reaped, JS_PROP_C_W_E);
  }
  return list;
}

FUNCTION(send_signal) {
  (void)self, (void)argc;
  int64_t pid, number;
  if (!int_argument(ctx, argv[0], INT32_MIN, INT32_MAX, &pid)) return JS_EXCEPTION;
  if (!int_argument(ctx, argv[1], 0, 64, &number)) return JS_EXCEPTION;
  return kill((pid_t)pid, (int)number) < 0 ? throw_errno(ctx, "kill", NULL) : JS_UNDEFINED;
}

FUNCTION(get_pid) {
  (void)self, (void)argc, (void)argv;
  return JS_NewInt32(ctx, getpid());
}

/* An empty file system as root: whoever shares the pid namespace shall not find the guest's files in /proc/1/root. */
static int leave_root(void) {
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -1;
  if (mount("none", "/dev", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") < 0) return -1;
  if (chdir("/dev") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) return -1;
  return chdir("/");
}

/* The child of holdNamespaces, pid 1 of its namespace: reports 0 or an errno, then only exists. */
static _Noreturn void hold(const char *hostname, int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "pod-namespaces");
  /* Orphans of the pod end here, and leave no zombies. */
  signal(SIGCHLD, SIG_IGN);
  int reason = 0;
  if (sethostname(hostname, strlen(hostname)) < 0 || leave_root() < 0) reason = errno;
  if (!reason && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) reason = errno;
  /* Changing ids has cleared both. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);
  if (write(report, &reason, sizeof(reason)) != (ssize_t)sizeof(reason) || reason) _exit(1);
  /* The agent's descriptors are not this process's: a pipe it holds would never end. */
  syscall(SYS_close_range, 0, ~0U, 0);
  for (;;) pause();
}

FUNCTION(hold_namespaces) {
  (void)self, (void)argc;
  const char *hostname = text_argument(ctx, argv[0]);
  if (!hostname) return JS_EXCEPTION;
  int ends[2], reason = 0;
  pid_t pid = -1;
  if (strlen(hostname) > MAX_HOSTNAME_BYTES) {
    reason = ENAMETOOLONG;
  } else if (pipe2(ends, O_CLOEXEC) < 0) {
    reason = errno;
  } else {
    pid = (pid_t)syscall(SYS_clone, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) hold(hostname, ends[1]);
    if (pid < 0) reason = errno;
    close(ends[1]);
    if (pid > 0 && read(ends[0], &reason, sizeof(reason)) != (ssize_t)sizeof(reason)) reason = ECHILD;
    close(ends[0]);
  }
  JS_FreeCString(ctx, hostname);
  errno = reason;
  return reason ? throw_errno(ctx, "clone", NULL) : JS_NewInt32(ctx, pid);
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("spawn", 1, spawn_process),         JS_CFUNC_DEF("reap", 0, reap_children),
    JS_CFUNC_DEF("kill", 2, send_signal),            JS_CFUNC_DEF("getpid", 0, get_pid),
    JS_CFUNC_DEF("holdNamespaces", 1, hold_namespaces),
};

void process_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
