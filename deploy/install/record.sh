# What install wrote, so that uninstall takes exactly that away: one line each, `kind<TAB>path on the node<TAB>rest`.
#   file    a file that was not there before; rest: its SHA-256
#   edited  a file of somebody else's; rest: SHA-256 after the edit, and the name of the copy from before in VAR/backup
#   link    a symbolic link; rest: its target, and the name of what was there before in VAR/backup, or nothing
#   dir     a directory that was made
RECORD_TAB=$(printf '\t')

# Only one at a time: a package and a DaemonSet may both be at it.
take_lock() {
  [ -z "$DRY" ] || return 0
  mkdir -p "$VAR"
  exec 9>"$VAR/lock"
  # The image of the DaemonSet has no flock; its node has.
  if command -v flock >/dev/null 2>&1; then
    locker=flock
  elif [ -n "$ROOT" ] && chroot "$ROOT" flock --version >/dev/null 2>&1; then
    locker=chroot_flock
  else
    return 0
  fi
  tries=60
  until $locker -n 9; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die "another install.sh holds $(on_node "$VAR/lock")"
    sleep 1
  done
}

chroot_flock() { chroot "$ROOT" flock "$@"; }

sum_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

# kind, path below ROOT, rest. Replaces an older line of the same kind and path.
record() {
  path=$(on_node "$2")
  mkdir -p "$VAR"
  {
    [ ! -f "$VAR/record" ] || grep -v -F -- "$1$RECORD_TAB$path$RECORD_TAB" "$VAR/record" || :
    printf '%s\t%s\t%s\n' "$1" "$path" "$3"
  } >"$VAR/record.new"
  mv -f "$VAR/record.new" "$VAR/record"
}

# The rest of a line.
record_of() {
  [ -f "$VAR/record" ] || return 0
  grep -F -- "$1$RECORD_TAB$(on_node "$2")$RECORD_TAB" "$VAR/record" | head -n 1 | cut -f 3-
}

# Directories that are missing above a file, outermost first.
make_parents() {
  parent=$(dirname -- "$1")
  missing=''
  while [ ! -d "$parent" ]; do
    missing="$parent
$missing"
    parent=$(dirname -- "$parent")
  done
  printf '%s' "$missing" | while read -r parent; do
    mkdir -- "$parent"
    record dir "$parent" -
  done
}

# A copy of what is there, with mode and times; says its name.
keep_backup() {
  mkdir -p "$VAR/backup"
  name=$(on_node "$1" | sha256sum | cut -c 1-16)
  [ -e "$VAR/backup/$name" ] || [ -L "$VAR/backup/$name" ] || cp -a -- "$1" "$VAR/backup/$name"
  printf '%s' "$name"
}

# Everything back as it was, last written first. What somebody has changed since is not overwritten.
# With `but-links` the links stay, and the rest of the record with them.
undo_records() {
  [ -f "$VAR/record" ] || return 0
  if [ -n "$DRY" ]; then
    while IFS=$RECORD_TAB read -r kind path _; do notice "would undo: $kind $path"; done <"$VAR/record"
    return 0
  fi
  sed '1!G;h;$!d' "$VAR/record" >"$VAR/undo"
  : >"$VAR/record.new"
  while IFS=$RECORD_TAB read -r kind path rest; do
    case ${1:-}$kind in
      but-linkslink) printf '%s\t%s\t%s\n' "$kind" "$path" "$rest" >>"$VAR/record.new" ;;
      *) undo_one "$kind" "$ROOT$path" "$rest" ;;
    esac
  done <"$VAR/undo"
  rm -f "$VAR/undo"
  mv -f "$VAR/record.new" "$VAR/record"
}

undo_one() {
  case $1 in
    file)
      [ -f "$2" ] || return 0
      if [ "$(sum_of "$2")" = "$3" ]; then
        rm -f -- "$2"
      else
        warn "$(on_node "$2") has been changed since it was written: it stays"
      fi
      ;;
    edited) undo_edit "$2" "${3%% *}" "$VAR/backup/${3##* }" ;;
    link)
      [ -L "$2" ] && [ "$(readlink -- "$2")" = "${3%%"$RECORD_TAB"*}" ] || return 0
      rm -f -- "$2"
      before=${3#*"$RECORD_TAB"}
      [ "$before" = "$3" ] || mv -- "$VAR/backup/$before" "$2"
      ;;
    dir) rmdir -- "$2" 2>/dev/null || : ;;
  esac
}

# Byte by byte where nobody has edited the file since; otherwise only our own lines go.
undo_edit() {
  [ -f "$1" ] || return 0
  if [ "$(sum_of "$1")" = "$2" ] && [ -f "$3" ]; then
    cp -a -- "$3" "$1.kata-edge"
    mv -f -- "$1.kata-edge" "$1"
    return 0
  fi
  warn "$(on_node "$1") has been edited since: only the lines of kata-edge are taken out"
  cp -a -- "$1" "$1.kata-edge"
  without_our_lines <"$1" >"$1.kata-edge"
  mv -f -- "$1.kata-edge" "$1"
}
