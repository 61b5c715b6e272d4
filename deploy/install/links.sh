# The programs in PATH. containerd writes down the path by which it found the shim and goes back to it after a restart:
# the link stays where it is through every upgrade.
PROGRAMS='containerd-shim-kata-v2 kata-runtime kata-ctl kata-monitor'
# Where containerd looks by systemd's default PATH, in its order.
PATH_DIRECTORIES='/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /opt/kata/bin'

# Whether a program is a link of ours.
is_ours() {
  [ -L "$1" ] || return 1
  case $(readlink -- "$1") in /opt/kata-edge/*) return 0 ;; esac
  return 1
}

# Another installation's shim in PATH would be hidden by ours, or hide ours.
other_shims() {
  for directory in $PATH_DIRECTORIES; do
    shim=$ROOT$directory/containerd-shim-kata-v2
    { [ -e "$shim" ] || [ -L "$shim" ]; } && ! is_ours "$shim" || continue
    # /bin is often a link to /usr/bin: one file is told once.
    [ ! -L "$ROOT$directory" ] || continue
    printf '%s\n' "$directory/containerd-shim-kata-v2"
  done
}

# With a handler of another name the shim is named by its path, and nobody's PATH matters.
refuse_other_shims() {
  [ "$HANDLER" = kata ] && [ -z "$FORCE" ] || return 0
  others=$(other_shims)
  [ -z "$others" ] || die "there is another Kata installation on this node:
$(printf '%s\n' "$others" | sed 's/^/  /')
Its pods must keep their shim. Uninstall it first, or install beside it with --handler NAME (for example
--handler kata-edge: a RuntimeClass of that handler uses this one), or replace it with --force (uninstall brings it back)."
}

# Programs are not linked over another installation's: then the handler has the path.
shim_is_linked() { [ "$HANDLER" = kata ]; }

make_links() {
  for program in $PROGRAMS; do
    link=$ROOT$LINKS/$program
    if ! shim_is_linked && { [ "$program" = containerd-shim-kata-v2 ] || other_program "$program"; }; then
      continue
    fi
    target=/opt/kata-edge/current/bin/$program
    if [ -L "$link" ] && [ "$(readlink -- "$link")" = "$target" ]; then
      [ -n "$(record_of link "$link")" ] || [ -n "$DRY" ] || record link "$link" "$target"
      continue
    fi
    doing "link $LINKS/$program to $target" || continue
    make_parents "$link"
    backup=''
    if [ -e "$link" ] || [ -L "$link" ]; then backup=$RECORD_TAB$(keep_backup "$link"); fi
    record link "$link" "$target$backup"
    ln -sfn -- "$target" "$link.new"
    mv -fT -- "$link.new" "$link"
  done
}

# Whether somebody else's program of that name is in PATH.
other_program() {
  for directory in $PATH_DIRECTORIES; do
    found=$ROOT$directory/$1
    { [ -e "$found" ] || [ -L "$found" ]; } && ! is_ours "$found" && return 0
  done
  return 1
}
