# /opt/kata-edge/<version>, and `current`, the link to one of them. A directory is never changed once it is there.

find_tree() {
  [ -n "$TREE" ] || TREE=$here
  [ -x "$TREE/bin/containerd-shim-kata-v2" ] && [ -f "$TREE/share/version" ] ||
    die "there is nothing to install in $TREE: run the install.sh of an unpacked kata-edge_*.tar.gz, or name such a directory by --tree (npm run package makes one)"
  read -r VERSION <"$TREE/share/version"
  case $VERSION in
    '' | .* | *[!A-Za-z0-9.+~_-]* | current | package) die "$TREE/share/version: \"$VERSION\" is no version" ;;
  esac
}

current_version() {
  link=$(readlink -- "$OPT/current" 2>/dev/null) || link=none
  printf '%s' "${link##*/}"
}

# Copies the tree (by hard links where it came with a package, whose files stay dpkg's) and flips the link.
activate_tree() {
  target=$(place_for "$VERSION")
  doing "install $TREE as $(on_node "$OPT/$target")" || return 0
  if [ ! -d "$OPT/$target" ]; then
    rm -rf "$OPT/$target.new"
    mkdir -p "$OPT/$target.new"
    cp -al -- "$TREE/." "$OPT/$target.new/" 2>/dev/null || {
      rm -rf "$OPT/$target.new"
      mkdir -p "$OPT/$target.new"
      cp -a -- "$TREE/." "$OPT/$target.new/"
    }
    compile_ahead "$OPT/$target.new"
    mv -T -- "$OPT/$target.new" "$OPT/$target"
  fi
  ln -sfn -- "$target" "$OPT/current.new"
  mv -fT -- "$OPT/current.new" "$OPT/current"
}

# The version's name; where other files are there under it (a rebuild), a name beside it.
place_for() {
  place=$1
  count=1
  while [ -d "$OPT/$place" ] && ! cmp -s -- "$TREE/share/manifest" "$OPT/$place/share/manifest"; do
    count=$((count + 1))
    place=$1-r$count
  done
  printf '%s' "$place"
}

# V8's own form of the bundle, 10 ms of every pod's start. Only the Node that will read it can make it; without it all works.
compile_ahead() {
  there=$(on_node "$1")
  on_the_node "$there/lib/node" "$there/install/compile-bundle.mjs" "$there/lib/serve.cjs" >/dev/null 2>&1 || {
    rm -f "$1/lib/serve.cjs.v8"
    warn "$there/lib/node could not compile the bundle ahead; pods start 10 ms later"
  }
}

remove_unused_versions() {
  current=$(current_version)
  [ -n "$DRY" ] || await_launchers
  for directory in "$OPT"/*; do
    version=${directory##*/}
    [ -d "$directory" ] && [ ! -L "$directory" ] || continue
    case $version in "$current" | package) continue ;; esac
    if version_in_use "$version"; then
      notice "version $version is still used by pods: it stays"
    elif doing "remove version $version, which nobody uses"; then
      rm -rf -- "$directory"
      notice "version $version removed: nobody uses it"
    fi
  done
}

# The end of an uninstall: nothing is left but what dpkg has.
remove_tree() {
  doing "remove $(on_node "$OPT")" || return 0
  rm -f -- "$OPT/current"
  remove_unused_versions
  rmdir -- "$OPT" 2>/dev/null || :
  rm -rf -- "$VAR/record" "$VAR/backup" "$VAR/choices" "$VAR/uninstalling" "$VAR/lock"
  rmdir -- "$VAR" 2>/dev/null || :
}

# An uninstall that had to leave pods alone ends once they have.
finish_uninstall() {
  [ -f "$VAR/uninstalling" ] && [ -z "$(running_shims)" ] || return 0
  undo_records
  remove_tree
  notice 'the rest of kata-edge is uninstalled'
}

show_status() {
  notice "current: $(current_version)"
  for directory in "$OPT"/*; do
    [ -d "$directory" ] && [ ! -L "$directory" ] || continue
    version=${directory##*/}
    [ "$version" != package ] || continue
    if version_in_use "$version"; then notice "version $version: in use"; else notice "version $version: not in use"; fi
  done
  running_shims | while read -r pid program; do notice "shim: pid $pid, $program"; done
  [ ! -f "$VAR/record" ] || while IFS=$RECORD_TAB read -r kind path _; do notice "$kind: $path"; done <"$VAR/record"
}
