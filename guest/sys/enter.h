/* A process to be started in a running container: enter.c, become.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Sets of capabilities, bit by number, in the order they are given. */
enum { BOUNDING, EFFECTIVE, INHERITABLE, PERMITTED, AMBIENT, SETS };

struct entry {
  int64_t pid, uid, gid, mask, oom_score_adj;
  bool no_new_privileges;
  const char *cgroup, *keyring, *cwd;
  char **argv, **env, **groups, **rlimits, **capabilities;
  int stdio[3];
  /* Of the container's first process. */
  int target;
  /* Written by the child; closed by exec. */
  int report;
};

/* Takes on limits, ids and capabilities. False with errno. */
bool become(const struct entry *entry);
