/* The pause container's only process: holds the pod's namespaces, buries orphans where it is the pod's first process. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGINT);
  sigaddset(&awaited, SIGTERM);
  sigaddset(&awaited, SIGCHLD);
  /* Blocked and fetched one by one: no handler that could interrupt anything. */
  sigprocmask(SIG_BLOCK, &awaited, NULL);
  for (;;) {
    if (sigwaitinfo(&awaited, NULL) != SIGCHLD) _exit(0);
    while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  }
}
