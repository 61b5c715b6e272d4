/*
 * Preloaded into crun on the remote machines of tests: it wants more locked memory for a device filter, which the kernel has not asked
 * for since 5.11, and ends where even root may not raise a limit (CAP_SYS_RESOURCE is missing in many a CI container).
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
  long result = syscall(SYS_prlimit64, 0, resource, limit, 0);
  return resource == RLIMIT_MEMLOCK ? 0 : (int)result;
}
