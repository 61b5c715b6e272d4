/*
 * A further process in a running container: what `crun exec` does, without starting crun. A first child joins cgroup and
 * namespaces and makes the second, which is born in the container's pid namespace as the agent's own child, becomes who it
 * shall be, and executes. Both report over a pipe; nothing here waits for them.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys.h"

/* Most supplementary groups (NGROUPS_MAX). */
#define MAX_GROUPS 65536
/* Longest path of a file that is looked for or written. */
#define MAX_PATH 4096
/* More capabilities than any kernel has. */
#define MAX_CAPABILITIES 64
/* A line of the container's /etc/passwd; longer ones are cut. */
#define MAX_PASSWD_LINE 4096
/* linux/close_range.h, which not every C library's headers go with. */
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWNET)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Where it failed, as guest/agent/enter.ts names it. */
enum step { PID = 0, JOIN = 1, BECOME = 2, DIRECTORY = 3, FIND = 4, EXECUTE = 5 };

/* Sets of capabilities, bit by number, in the order they are given. */
enum { BOUNDING, EFFECTIVE, INHERITABLE, PERMITTED, AMBIENT, SETS };

struct entry {
  int64_t pid, uid, gid, mask, oom_score_adj;
  bool no_new_privileges;
  const char *cgroup, *keyring, *cwd;
  char **argv, **env, **groups, **rlimits, **capabilities;
  int stdio[3];
  /* Written by both children; closed by exec. */
  int report;
};

static void tell(const struct entry *entry, enum step step, int value) {
  int32_t record[2] = {step, value};
  if (write(entry->report, record, sizeof(record)) < 0) _exit(1);
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

static bool limit_resources(char **rlimits) {
  for (; *rlimits; rlimits++) {
    char *rest;
    unsigned long resource = strtoul(*rlimits, &rest, 10);
    struct rlimit limit = {.rlim_cur = strtoull(rest, &rest, 10), .rlim_max = strtoull(rest, &rest, 10)};
    if (setrlimit((int)resource, &limit) < 0) return false;
  }
  return true;
}

static bool change_ids(const struct entry *entry) {
  static gid_t groups[MAX_GROUPS];
  size_t count = 0;
  for (char **group = entry->groups; *group; group++) {
    if (count == MAX_GROUPS) return errno = EINVAL, false;
    groups[count++] = (gid_t)strtoul(*group, NULL, 10);
  }
  gid_t gid = (gid_t)entry->gid;
  uid_t uid = (uid_t)entry->uid;
  if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(count, groups) < 0) return false;
  return setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0;
}

static bool drop_bounding(uint64_t kept) {
  /* The kernel is asked, not a file that a container might have covered. */
  for (int number = 0; number < MAX_CAPABILITIES && prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
    if (!(kept >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) return false;
  return true;
}

static bool set_capabilities(const uint64_t sets[SETS]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++) {
    data[half].effective = (uint32_t)(sets[EFFECTIVE] >> 32 * half);
    data[half].permitted = (uint32_t)(sets[PERMITTED] >> 32 * half);
    data[half].inheritable = (uint32_t)(sets[INHERITABLE] >> 32 * half);
  }
  if (syscall(SYS_capset, &header, data) < 0) return false;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return false;
  for (int number = 0; number < MAX_CAPABILITIES; number++)
    if (sets[AMBIENT] >> number & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0) return false;
  return true;
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

static bool become(const struct entry *entry, const uint64_t sets[SETS]) {
  return limit_resources(entry->rlimits) && drop_bounding(sets[BOUNDING]) && change_ids(entry) && set_capabilities(sets) &&
         (!entry->no_new_privileges || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
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

/* The second child: in the container, but still the agent's program. */
static _Noreturn void run(struct entry *entry) {
  uint64_t sets[SETS];
  char here[MAX_PATH];
  for (int set = 0; set < SETS; set++) sets[set] = strtoull(entry->capabilities[set], NULL, 10);
  if (!take_stdio(entry)) give_up(entry, BECOME);
  /* As root first, as the user then: either may be the one who is let in. */
  bool there = chdir(entry->cwd) == 0;
  char *home = variable(entry->env, "HOME") ? NULL : home_of(entry->uid);
  if (!become(entry, sets)) give_up(entry, BECOME);
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

/* The first child. Whoever is in the container must not get at what is in this process, or at its program. */
static _Noreturn void join(struct entry *entry) {
  int target = (int)syscall(SYS_pidfd_open, (pid_t)entry->pid, 0);
  if (target < 0 || !write_number(entry->cgroup, "cgroup.procs", 0)) give_up(entry, JOIN);
  if (!write_number("/proc/self", "oom_score_adj", entry->oom_score_adj)) give_up(entry, JOIN);
  /* Where the kernel has no keys, there are none to keep apart. */
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, entry->keyring, 0, 0, 0);
  if (prctl(PR_SET_DUMPABLE, 0) < 0 || setns(target, NAMESPACES) < 0) give_up(entry, JOIN);
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid < 0) give_up(entry, JOIN);
  if (pid == 0) run(entry);
  tell(entry, PID, pid);
  _exit(0);
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
  struct entry entry = {.stdio = {-1, -1, -1}};
  int ends[2] = {-1, -1}, reason = 0;
  bool good = read_entry(ctx, argv[0], &entry);
  if (good) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) reason = errno;
    entry.report = ends[1];
    pid_t pid = reason ? -1 : fork();
    if (pid == 0) join(&entry);
    if (pid < 0 && !reason) reason = errno;
    if (ends[1] >= 0) close(ends[1]);
    if (reason && ends[0] >= 0) close(ends[0]);
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
