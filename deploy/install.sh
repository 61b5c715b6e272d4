#!/bin/sh
# Puts kata-edge on a node, tells containerd about it, and takes both away again.
# The parts are beside this file in install/; the tree that is installed is the directory of this file, or --tree.
set -eu
umask 022

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
for part in say record sandboxes versions links containerd handler configuration verify; do
  # shellcheck source=/dev/null
  . "$here/install/$part.sh"
done

usage() {
  cat <<'USAGE'
Usage: install.sh COMMAND [OPTION...]

  install      copy the tree to /opt/kata-edge/<version>, make it the current one, link its programs, write a default
               configuration where there is none, tell containerd of the handler, remove old versions nobody uses
  uninstall    take away everything that install wrote; refuses while pods run
  verify       compare the installed files with their checksums and ask containerd whether it knows the handler
  gc           remove versions that no sandbox uses
  status       versions, who uses them, and what install wrote

  --handler NAME            name of the runtime handler (default: kata)
  --containerd-config FILE  containerd's configuration (default: found by distribution)
  --distribution NAME       containerd, k3s, rke2, k0s or microk8s (default: found out)
  --containerd FILE         the containerd to ask (default: found by distribution)
  --config-version N        version of the configuration's format, 1 to 4, where containerd cannot be asked
  --config-path FILE        configuration.toml for this handler alone (the handler's option ConfigPath)
  --link-directory DIR      where the programs are linked (default: /usr/local/bin)
  --no-containerd           leave containerd's configuration alone
  --keep-configuration      uninstall: leave /etc/kata-containers/configuration.toml
  --restart, --no-restart   restart containerd afterwards, or do not ask
  --force                   go on where another installation would be shadowed; it comes back when this one goes
  --tree DIR                the files to install
  --root DIR                the node's file system, where it is not /
  --dry-run                 say what would be done
USAGE
}

[ $# -gt 0 ] || {
  usage >&2
  exit 2
}
command=$1
shift

ROOT='' TREE='' HANDLER='' DISTRIBUTION='' CONTAINERD='' CONTAINERD_CONFIG='' CONFIG_VERSION='' CONFIG_PATH=''
LINKS='' KEEP_CONFIGURATION='' DRY='' FORCE='' TELL_CONTAINERD=yes RESTART=ask
while [ $# -gt 0 ]; do
  option=$1
  shift
  case $option in
    --*=*)
      set -- "${option#*=}" "$@"
      option=${option%%=*}
      ;;
  esac
  case $option in
    --root | --tree | --handler | --distribution | --containerd | --containerd-config | --config-version | --config-path | --link-directory)
      [ $# -gt 0 ] || die "$option needs a value"
      value=$1
      shift
      ;;
  esac
  case $option in
    --root) ROOT=${value%/} ;;
    --tree) TREE=$value ;;
    --handler) HANDLER=$value ;;
    --distribution) DISTRIBUTION=$value ;;
    --containerd) CONTAINERD=$value ;;
    --containerd-config) CONTAINERD_CONFIG=$value ;;
    --config-version) CONFIG_VERSION=$value ;;
    --config-path) CONFIG_PATH=$value ;;
    --link-directory) LINKS=$value ;;
    --keep-configuration) KEEP_CONFIGURATION=yes ;;
    --no-containerd) TELL_CONTAINERD='' ;;
    --restart) RESTART=yes ;;
    --no-restart) RESTART='' ;;
    --force) FORCE=yes ;;
    --dry-run) DRY=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) die "there is no option $option; see install.sh --help" ;;
  esac
done

case $command in
  install | uninstall | gc) [ -n "$DRY" ] || [ "$(id -u)" = 0 ] || die "$command has to be run as root" ;;
esac

OPT=$ROOT/opt/kata-edge
VAR=$ROOT/var/lib/kata-edge

install_all() {
  remembered_choices
  check_options
  find_tree
  refuse_other_shims
  find_containerd
  refuse_other_handler
  take_lock
  remember_choices
  activate_tree
  make_links
  write_configuration
  write_handler
  remove_unused_versions
  say_restart
  if [ -n "$DRY" ]; then notice 'nothing has been changed'; else notice "kata-edge $(current_version) is installed"; fi
}

uninstall_all() {
  take_lock
  remembered_choices
  if no_sandbox_runs; then
    remove_configuration
    undo_records
    remove_tree
    if [ -n "$DRY" ]; then notice 'nothing has been changed'; else notice 'kata-edge is uninstalled'; fi
  else
    remove_configuration
    undo_records but-links
    [ -n "$DRY" ] || : >"$VAR/uninstalling"
  fi
  say_restart
}

case $command in
  -h | --help | help) usage ;;
  install) install_all ;;
  uninstall) uninstall_all ;;
  verify) verify_all ;;
  gc)
    take_lock
    remove_unused_versions
    finish_uninstall
    ;;
  status) show_status ;;
  *) die "there is no command $command; see install.sh --help" ;;
esac
