# Who uses what is installed.

# Pid and program of running shims, one line each. A program is known by its file: its path looks different from within
# another mount namespace, and every shim has one of its own.
running_shims() {
  for node in "$OPT"/*/lib/node; do
    [ -f "$node" ] && [ ! -L "${node%/lib/node}" ] || continue
    for exe in /proc/[0-9]*/exe; do
      [ "$exe" -ef "$node" ] || continue
      if tr '\0' '\n' <"${exe%exe}cmdline" 2>/dev/null | grep -q '/shim\.cjs$'; then
        pid=${exe#/proc/}
        printf '%s %s\n' "${pid%/exe}" "$(on_node "$node")"
      fi
    done
  done
}

# Whether anything runs from a version, or will be cleaned up by it.
version_in_use() {
  for exe in /proc/[0-9]*/exe; do
    [ ! "$exe" -ef "$OPT/$1/lib/node" ] || return 0
  done
  for state in "$ROOT"/run/kata-containers/*/state.json; do
    [ ! -f "$state" ] || ! grep -q -F -- "\"/opt/kata-edge/$1/" "$state" || return 0
  done
  for named in "$ROOT"/run/containerd/io.containerd.runtime.v2.task/*/*/shim-binary-path \
    "$ROOT"/run/k3s/containerd/io.containerd.runtime.v2.task/*/*/shim-binary-path; do
    [ ! -f "$named" ] || ! grep -q -F -- "/opt/kata-edge/$1/" "$named" || return 0
  done
  return 1
}

# Refuses; with --force tells, and returns 1.
no_sandbox_runs() {
  running=$(running_shims)
  [ -n "$running" ] || return 0
  list=$(printf '%s\n' "$running" | while read -r pid program; do printf '  pid %s, %s\n' "$pid" "$program"; done)
  [ -n "$FORCE" ] || die "pods still run:
$list
Delete them first (kata-runtime list names them). With --force the handler goes now, and the programs when they have ended."
  warn "pods still run:
$list
The handler is taken away. Programs and links stay for them: \`$(on_node "$OPT")/current/install.sh gc\` removes the rest once they have ended."
  return 1
}

# A launcher that has just read the old link has no process of that version yet.
await_launchers() {
  tries=50
  while [ "$tries" -gt 0 ] && grep -l -s -a 'containerd-shim-kata-v2' /proc/[0-9]*/cmdline 2>/dev/null | launchers_of_shims; do
    tries=$((tries - 1))
    sleep 0.1
  done
}

launchers_of_shims() {
  while read -r cmdline; do
    case $(readlink -- "${cmdline%cmdline}exe" 2>/dev/null) in
      */dash | */bash | */sh | */busybox) tr '\0' ' ' <"$cmdline" 2>/dev/null | grep -q ' start *$' && return 0 ;;
    esac
  done
  return 1
}
