/* Who a process is: resource limits, user and groups, capabilities. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "enter.h"

/* Most supplementary groups (NGROUPS_MAX). */
#define MAX_GROUPS 65536
/* More capabilities than any kernel has. */
#define MAX_CAPABILITIES 64

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

bool become(const struct entry *entry) {
  uint64_t sets[SETS];
  for (int set = 0; set < SETS; set++) sets[set] = strtoull(entry->capabilities[set], NULL, 10);
  return limit_resources(entry->rlimits) && drop_bounding(sets[BOUNDING]) && change_ids(entry) && set_capabilities(sets) &&
         (!entry->no_new_privileges || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}
