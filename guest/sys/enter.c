/*
 * A further process in a running container: what `crun exec` does, without starting crun. The agent's child is born in the
 * container's pid namespace and cgroup, joins the other namespaces, becomes who it shall be, and executes. It reports over a
 * pipe; nothing here waits for it. One fork: each copies the page tables of a large process, and the pages written after it.
 */
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enter.h"
#include "sys.h"

/* Longest path of a file that is looked for or written. */
#define MAX_PATH 4096
/* A line of the container's /etc/passwd; longer ones are cut. */
#define MAX_PASSWD_LINE 4096
/* linux/close_range.h, which not every C library's headers go with. */
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
/* All but that of pids, in which a process can only be born. */
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Where it failed, as guest/agent/enter.ts names it. */
enum step { PID = 0, JOIN = 1, BECOME = 2, DIRECTORY = 3, FIND = 4, EXECUTE = 5 };

/* The pipe is empty or nearly so: a record always fits. */
static void tell(const struct entry *entry, enum step step, int value) {
  int32_t record[2] = {step, value};
  ssize_t written = write(entry->report, record, sizeof(record));
  (void)written;
}

static _Noreturn void give_up(const struct entry *entry, enum step step) {
  tell(entry, step, errno);
  _exit(1);
}

static bool write_number(const char *directory, const char *file, int64_t number) {
  char path[MAX_PATH], text[24];
  if (snprintf(path, sizeof(path), "%s/%s", directory, file) >= (int)sizeof(path)) return errno = ENAMETOOLONG, false;
  int length = snprintf(text, sizeof(text), "%lld", (long long)number);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool good = fd >= 0 && write(fd, text, (size_t)length) == length;
  int reason = errno;
  if (fd >= 0) close(fd);
  errno = reason;
  return good;
}

/* Signals as a new program expects them, stdio its own: what is opened as /dev/stdout must be its user's. */
static bool take_stdio(const struct entry *entry) {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || setsid() < 0) return false;
  for (int fd = 0; fd < 3; fd++) {
    struct stat status;
    if (dup2(entry->stdio[fd], fd) < 0) return false;
    if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && fchown(fd, (uid_t)entry->uid, (gid_t)-1) < 0) return false;
  }
  umask((mode_t)entry->mask);
  return true;
}

static const char *variable(char **env, const char *name) {
  size_t length = strlen(name);
  const char *found = NULL;
  for (; *env; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') found = *env + length + 1;
  return found;
}

/* `HOME=` of a user by the container's /etc/passwd; the root directory for one that is not in it, as crun has it. */
static char *home_of(int64_t uid) {
  static char line[MAX_PASSWD_LINE], home[MAX_PASSWD_LINE + 8] = "HOME=/";
  struct stat status;
  /* It is the container's: a FIFO there must not be waited for. */
  int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (!file) return home;
  while (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) && fgets(line, sizeof(line), file)) {
    char *fields[6], *rest = line;
    int count = 0;
    while (count < 6 && (fields[count] = strsep(&rest, ":"))) count++;
    if (count < 6 || !*fields[2] || strtoll(fields[2], NULL, 10) != uid) continue;
    fields[5][strcspn(fields[5], "\n")] = 0;
    snprintf(home, sizeof(home), "HOME=%s", fields[5]);
    break;
  }
  fclose(file);
  return home;
}

static bool executable(const char *path) {
  struct stat status;
  if (stat(path, &status) < 0) return false;
  if (!S_ISREG(status.st_mode)) return errno = S_ISDIR(status.st_mode) ? EISDIR : EACCES, false;
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* The program's path, looked for as a shell does; NULL with errno. */
static const char *find(const char *name, const char *path) {
  static char found[MAX_PATH];
  if (strchr(name, '/')) return executable(name) ? name : NULL;
  int reason = ENOENT;
  for (const char *at = path ? path : DEFAULT_PATH; *name; at++) {
    size_t length = strcspn(at, ":");
    const char *format = length ? "%.*s/%s" : "%.*s./%s";
    if (snprintf(found, sizeof(found), format, (int)length, at, name) < (int)sizeof(found)) {
      if (executable(found)) return found;
      if (errno == EACCES) reason = EACCES;
    }
    at += length;
    if (!*at) break;
  }
  errno = reason;
  return NULL;
}

/* In the container, but still the agent's program. */
static _Noreturn void run(struct entry *entry) {
  char here[MAX_PATH];
  if (!take_stdio(entry)) give_up(entry, BECOME);
  /* As root first, as the user then: either may be the one who is let in. */
  bool there = chdir(entry->cwd) == 0;
  char *home = variable(entry->env, "HOME") ? NULL : home_of(entry->uid);
  if (!become(entry)) give_up(entry, BECOME);
  if (!there && chdir(entry->cwd) < 0) give_up(entry, DIRECTORY);
  /* A directory outside of the container's root has no path, or one that does not begin with a slash. */
  if (!getcwd(here, sizeof(here)) || here[0] != '/') give_up(entry, DIRECTORY);
  const char *program = find(entry->argv[0], variable(entry->env, "PATH"));
  if (!program) give_up(entry, FIND);
  size_t count = 0;
  while (entry->env[count]) count++;
  char **env = calloc(count + 2, sizeof(char *));
  if (!env) give_up(entry, EXECUTE);
  memcpy(env, entry->env, count * sizeof(char *));
  env[count] = home;
  syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
  execve(program, entry->argv, env);
  give_up(entry, EXECUTE);
}

/* The child: in the container's pid namespace and cgroup. */
static _Noreturn void join(struct entry *entry) {
  if (!write_number("/proc/self", "oom_score_adj", entry->oom_score_adj)) give_up(entry, JOIN);
  /* Where the kernel has no keys, there are none to keep apart. */
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, entry->keyring, 0, 0, 0);
  if (setns(entry->target, NAMESPACES) < 0) give_up(entry, JOIN);
  run(entry);
}

/* A child in the pid namespace that children are born in, and in a cgroup. -1 with errno. */
static pid_t fork_into(const char *cgroup) {
  int directory = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  struct clone_args how = {
      .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)directory};
  pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
  if (pid == 0) return 0;
  int reason = errno;
  close(directory);
  errno = reason;
  return pid;
}

/* Makes the child. Its pid, or -1 with errno: the agent itself is where it was in either case. */
static pid_t start_child(struct entry *entry) {
  /* Whoever is in the container must not get at what is in the child's memory, or at its program: it is born closed to them. */
  int dumpable = prctl(PR_GET_DUMPABLE);
  if (dumpable < 0 || prctl(PR_SET_DUMPABLE, 0) < 0) return -1;
  int own = (int)syscall(SYS_pidfd_open, getpid(), 0);
  pid_t pid = -1;
  if (own >= 0 && setns(entry->target, CLONE_NEWPID) == 0) {
    pid = fork_into(entry->cgroup);
    if (pid == 0) join(entry);
    int reason = errno;
    /* Everything this agent starts would be born in that container. */
    if (setns(own, CLONE_NEWPID) < 0) abort();
    errno = reason;
  }
  int reason = errno;
  if (own >= 0) close(own);
  /* 2, which is the administrator's wish for cores only root may read, cannot be set by hand: 0 stays then. */
  if (dumpable == 1) prctl(PR_SET_DUMPABLE, 1);
  errno = reason;
  return pid;
}

static bool number_of(JSContext *ctx, JSValueConst options, const char *name, int64_t low, int64_t high, int64_t *out) {
  JSValue value = JS_GetPropertyStr(ctx, options, name);
  bool good = !JS_IsException(value) && int_argument(ctx, value, low, high, out);
  JS_FreeValue(ctx, value);
  return good;
}

static const char *text_of(JSContext *ctx, JSValueConst options, const char *name) {
  JSValue value = JS_GetPropertyStr(ctx, options, name);
  const char *text = JS_IsException(value) ? NULL : text_argument(ctx, value);
  JS_FreeValue(ctx, value);
  return text;
}

static bool read_entry(JSContext *ctx, JSValueConst options, struct entry *entry) {
  int64_t privileges;
  bool good = number_of(ctx, options, "pid", 2, INT32_MAX, &entry->pid) &&
              number_of(ctx, options, "uid", 0, UINT32_MAX - 1, &entry->uid) &&
              number_of(ctx, options, "gid", 0, UINT32_MAX - 1, &entry->gid) &&
              number_of(ctx, options, "umask", 0, 0777, &entry->mask) &&
              number_of(ctx, options, "oomScoreAdj", -1000, 1000, &entry->oom_score_adj) &&
              number_of(ctx, options, "noNewPrivileges", 0, 1, &privileges) &&
              (entry->cgroup = text_of(ctx, options, "cgroup")) && (entry->keyring = text_of(ctx, options, "keyring")) &&
              (entry->cwd = text_of(ctx, options, "cwd")) && (entry->argv = strings_of(ctx, options, "argv")) &&
              (entry->env = strings_of(ctx, options, "env")) && (entry->groups = strings_of(ctx, options, "groups")) &&
              (entry->rlimits = strings_of(ctx, options, "rlimits")) &&
              (entry->capabilities = strings_of(ctx, options, "capabilities")) && stdio_of(ctx, options, entry->stdio);
  if (!good) return false;
  entry->no_new_privileges = privileges != 0;
  int sets = 0;
  while (entry->capabilities[sets]) sets++;
  if (sets == SETS && entry->argv[0]) return true;
  JS_ThrowTypeError(ctx, "enter: no argv, or not five sets of capabilities");
  return false;
}

FUNCTION(enter_container) {
  (void)self, (void)argc;
  struct entry entry = {.stdio = {-1, -1, -1}, .target = -1};
  int ends[2] = {-1, -1}, reason = 0;
  bool good = read_entry(ctx, argv[0], &entry);
  if (good) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) reason = errno;
    entry.report = ends[1];
    if (!reason && (entry.target = (int)syscall(SYS_pidfd_open, (pid_t)entry.pid, 0)) < 0) tell(&entry, JOIN, errno);
    if (entry.target >= 0) {
      pid_t pid = start_child(&entry);
      if (pid < 0) tell(&entry, JOIN, errno);
      else tell(&entry, PID, pid);
      close(entry.target);
    }
    if (ends[1] >= 0) close(ends[1]);
  }
  for (int fd = 0; fd < 3; fd++)
    if (entry.stdio[fd] >= 0) close(entry.stdio[fd]);
  char **lists[] = {entry.argv, entry.env, entry.groups, entry.rlimits, entry.capabilities};
  for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) free_strings(lists[i]);
  const char *texts[] = {entry.cgroup, entry.keyring, entry.cwd};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    if (texts[i]) JS_FreeCString(ctx, texts[i]);
  if (!good) return JS_EXCEPTION;
  errno = reason;
  return reason ? throw_errno(ctx, "enter", NULL) : JS_NewInt32(ctx, ends[0]);
}

static const JSCFunctionListEntry functions[] = {JS_CFUNC_DEF("enter", 1, enter_container)};

void enter_module(JSContext *ctx, JSValueConst sys) { ADD(sys, functions); }
