# Whether what is installed works, asked of the programs themselves.

verify_all() {
  remembered_choices
  check_options
  find_containerd
  FAILED=''
  current=$OPT/$(current_version)
  check 'a current version' test -x "$current/bin/containerd-shim-kata-v2"
  [ -z "$FAILED" ] || die "nothing is installed in $(on_node "$OPT")"
  check "the files of $(current_version)" manifest_holds "$current"
  check 'the shim answers' on_the_node /opt/kata-edge/current/bin/containerd-shim-kata-v2 -v
  check 'kata-runtime answers' on_the_node /opt/kata-edge/current/bin/kata-runtime --version
  ! shim_is_linked || check 'the shim in PATH is this one' linked_first
  [ -z "$TELL_CONTAINERD" ] || verify_containerd
  [ -z "$FAILED" ] || exit 1
  notice 'all is well'
}

verify_containerd() {
  check "the handler $HANDLER is written" handler_in_file
  if cri_is_disabled; then
    notice "note: $(on_node "$CONFIG") disables containerd's CRI plugin, which Kubernetes needs"
  elif [ -n "$CONTAINERD" ]; then
    check "$CONTAINERD ($(containerd_version)) knows the handler $HANDLER" handler_known "$HANDLER"
    check "$CONTAINERD ($(containerd_version)) knows runc" handler_known runc
  fi
  # What runs may have been started before the configuration was written.
  if on_the_node crictl version >/dev/null 2>&1; then
    check "the running CRI service knows the handler $HANDLER" cri_knows "$HANDLER"
  elif [ -n "$CONTAINERD" ] && on_the_node ctr version >/dev/null 2>&1; then
    notice 'ok: containerd runs; without crictl it cannot be asked for its handlers: restart it if it has not been since'
  else
    notice 'note: no containerd runs that could be asked'
  fi
  if said=$(on_the_node /opt/kata-edge/current/bin/kata-runtime check 2>&1); then
    notice 'ok: kata-runtime check'
  else
    warn "kata-runtime check finds:
$said"
  fi
}

# What is checked, and a command.
check() {
  what=$1
  shift
  if said=$("$@" 2>&1); then
    notice "ok: $what"
  else
    FAILED=yes
    notice "FAILED: $what${said:+ ($(printf '%s' "$said" | tail -n 2 | tr '\n' ' '))}"
  fi
}

on_the_node() {
  if [ -z "$ROOT" ]; then "$@"; else chroot "$ROOT" "$@"; fi
}

manifest_holds() { (cd -- "$1" && sha256sum --quiet -c share/manifest); }

linked_first() {
  for directory in $PATH_DIRECTORIES; do
    shim=$ROOT$directory/containerd-shim-kata-v2
    [ -e "$shim" ] || [ -L "$shim" ] || continue
    is_ours "$shim" && return 0
    printf '%s comes first in PATH' "$directory/containerd-shim-kata-v2"
    return 1
  done
  printf 'there is none in %s' "$PATH_DIRECTORIES"
  return 1
}

handler_in_file() { grep -q "$(handler_table "$HANDLER")" "${DROP_IN:-$BLOCK_FILE}"; }
handler_known() { handlers_known | grep -q -x -- "$1"; }
cri_knows() { on_the_node crictl info 2>/dev/null | tr -d ' ' | grep -q "^\"$1\":{"; }
