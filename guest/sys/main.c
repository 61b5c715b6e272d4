/*
 * The agent's process: a QuickJS context with the global object `sys`, the agent's byte code, and the loop that drives it.
 *
 * The byte code defines the global function `turn`, which polls once and calls back; it returns false to end. Promise jobs
 * run between turns. An exception that leaves `turn`, or the start-up, is fatal: PID 1 powers the VM off, a process exits 1.
 */
#include <fcntl.h>
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

/* Made by compile.c from the agent's bundle. */
extern const uint8_t agent_bytecode[];
extern const size_t agent_bytecode_size;

/* Rejected promises remembered until the jobs have run; those still without a handler then are logged. */
#define MAX_REJECTIONS 32
/* Descriptors the agent may hold: three or four per process in the pod. */
#define MAX_FDS 65536
/* Heap at which cycles are looked for the first time. The agent itself takes a fifth of it; by default QuickJS would search it
 * several times while a pod starts, tens of milliseconds each under emulation. What is no cycle is freed at once anyway. */
#define GC_THRESHOLD_BYTES (8 << 20)

struct rejections {
  JSValue promises[MAX_REJECTIONS];
  int count;
};

static void log_exception(JSContext *ctx, const char *what, JSValueConst error) {
  const char *message = JS_ToCString(ctx, error);
  JSValue stack = JS_IsObject(error) ? JS_GetPropertyStr(ctx, error, "stack") : JS_UNDEFINED;
  const char *trace = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL;
  char line[2048];
  int length = snprintf(line, sizeof(line), "%s: %s\n%s", what, message ? message : "(no text)", trace ? trace : "");
  log_line(line, length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1);
  JS_FreeCString(ctx, trace);
  JS_FreeCString(ctx, message);
  JS_FreeValue(ctx, stack);
}

static _Noreturn void fatal(JSContext *ctx, const char *what) {
  JSValue error = JS_GetException(ctx);
  log_exception(ctx, what, error);
  power_off(1);
}

static void on_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool handled, void *opaque) {
  struct rejections *list = opaque;
  if (!handled) {
    if (list->count < MAX_REJECTIONS) list->promises[list->count++] = JS_DupValue(ctx, promise);
    else log_exception(ctx, "unhandled rejection", reason);
    return;
  }
  for (int i = 0; i < list->count; i++) {
    if (JS_VALUE_GET_PTR(list->promises[i]) != JS_VALUE_GET_PTR(promise)) continue;
    JS_FreeValue(ctx, list->promises[i]);
    list->promises[i] = list->promises[--list->count];
    return;
  }
}

/* Runs every promise job, then reports the rejections nobody has taken. */
static void run_jobs(JSContext *ctx, struct rejections *list) {
  JSContext *where;
  for (int result; (result = JS_ExecutePendingJob(JS_GetRuntime(ctx), &where)) != 0;) {
    if (result > 0) continue;
    JSValue error = JS_GetException(where);
    log_exception(where, "a promise job failed", error);
    JS_FreeValue(where, error);
  }
  while (list->count > 0) {
    JSValue promise = list->promises[--list->count];
    JSValue reason = JS_PromiseResult(ctx, promise);
    log_exception(ctx, "unhandled rejection", reason);
    JS_FreeValue(ctx, reason);
    JS_FreeValue(ctx, promise);
  }
}

/* 0, 1 and 2 must exist, else the next descriptor opened takes their place. */
static void open_standard(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);
}

static void prepare_process(void) {
  struct rlimit files = {.rlim_cur = MAX_FDS, .rlim_max = MAX_FDS};
  open_standard();
  /* What was inherited by accident would be inherited by every child too. */
  syscall(SYS_close_range, 3, ~0U, 0);
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  /* Container processes outlive the crun that made them and become ours, also where this is not PID 1. */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  /* As an ordinary process without privilege the limit stays what it is. */
  if (setrlimit(RLIMIT_NOFILE, &files) < 0) errno = 0;
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
  if (watch_children() < 0) {
    perror("signalfd");
    power_off(1);
  }
}

static void add_globals(JSContext *ctx, int argc, char **argv) {
  JSValue global = JS_GetGlobalObject(ctx);
  JSValue sys = JS_NewObject(ctx);
  JSValue arguments = JS_NewArray(ctx);
  for (int i = 1; i < argc; i++)
    JS_DefinePropertyValueUint32(ctx, arguments, (uint32_t)i - 1, JS_NewString(ctx, argv[i]), JS_PROP_C_W_E);
  text_module(ctx);
  error_module(ctx, sys);
  files_module(ctx, sys);
  tree_module(ctx, sys);
  descriptors_module(ctx, sys);
  splice_module(ctx, sys);
  compare_module(ctx, sys);
  socket_module(ctx, sys);
  netlink_module(ctx, sys);
  process_module(ctx, sys);
  terminal_module(ctx, sys);
  enter_module(ctx, sys);
  system_module(ctx, sys);
  poll_module(ctx, sys);
  JS_SetPropertyStr(ctx, global, "sys", sys);
  JS_SetPropertyStr(ctx, global, "argv", arguments);
  JS_FreeValue(ctx, global);
}

static void run(JSContext *ctx, struct rejections *list) {
  JSValue global = JS_GetGlobalObject(ctx);
  JSValue turn = JS_GetPropertyStr(ctx, global, "turn");
  for (bool on = true; on;) {
    run_jobs(ctx, list);
    JSValue result = JS_Call(ctx, turn, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(result)) fatal(ctx, "the loop failed");
    on = JS_ToBool(ctx, result);
    JS_FreeValue(ctx, result);
  }
}

int main(int argc, char **argv) {
  static struct rejections list;
  prepare_process();
  JSRuntime *runtime = JS_NewRuntime();
  JSContext *ctx = runtime ? JS_NewContext(runtime) : NULL;
  if (!ctx) {
    log_line("out of memory", 13);
    power_off(1);
  }
  JS_SetGCThreshold(runtime, GC_THRESHOLD_BYTES);
  JS_SetHostPromiseRejectionTracker(runtime, on_rejection, &list);
  add_globals(ctx, argc, argv);
  JSValue code = JS_ReadObject(ctx, agent_bytecode, agent_bytecode_size, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(code)) fatal(ctx, "the agent's byte code cannot be read");
  JSValue result = JS_EvalFunction(ctx, code);
  if (JS_IsException(result)) fatal(ctx, "the agent cannot start");
  JS_FreeValue(ctx, result);
  run(ctx, &list);
  power_off(0);
}
