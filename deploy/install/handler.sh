# The runtime handler in containerd's configuration.
BEGIN_MARK='# kata-edge: begin (written by install.sh, removed by install.sh uninstall)'
END_MARK='# kata-edge: end'
ENTRY_MARK='# kata-edge'

# Reads a configuration, writes it without what is ours.
without_our_lines() {
  sed -e "/^# kata-edge: begin/,/^# kata-edge: end/d" -e "/^imports = \[\"[^\"]*kata-edge\.toml\"\] $ENTRY_MARK\$/d" \
    -e 's|"[^"]*/kata-edge\.toml", ||'
}

# What a table of a handler begins with, in any quoting.
handler_table() { printf '^[[:space:]]*\\[.*runtimes\\.["'\'']\\{0,1\\}%s["'\'']\\{0,1\\}\\]' "$1"; }

# Names of the handlers that containerd makes of its configuration; one line each.
handlers_known() {
  [ -n "$CONTAINERD" ] || return 0
  configured_by_containerd |
    sed -n "s/^[[:space:]]*\[plugins\..*\.containerd\.runtimes\.[\"']\{0,1\}\([A-Za-z0-9_-]*\)[\"']\{0,1\}\]\$/\1/p" | sort -u
}

# What is in force. 1.6 and 1.7 do not dump a file that is not there.
configured_by_containerd() {
  if [ -f "$CONFIG" ]; then
    ask -c "$(on_node "$CONFIG")" config dump 2>/dev/null
  else
    ask config default 2>/dev/null
  fi
}

# Files that may define handlers: the main one, the template, what they import.
configuration_files() {
  for file in "$CONFIG" "$BLOCK_FILE"; do
    [ -n "$file" ] && [ -f "$file" ] || continue
    printf '%s\n' "$file"
    # Imports are patterns, and absolute as a rule.
    without_our_lines <"$file" | tr '\n' ' ' | sed -n 's/.*imports[[:space:]]*=[[:space:]]*\[\([^]]*\)\].*/\1/p' |
      tr ',' '\n' | sed -n "s/^[[:space:]]*[\"']\(\/[^\"']*\)[\"'].*/\1/p" | while read -r pattern || [ -n "$pattern" ]; do
      directory=$ROOT${pattern%/*}
      for found in "$directory"/*; do
        # shellcheck disable=SC2254
        case $(on_node "$found") in $pattern) [ ! -f "$found" ] || printf '%s\n' "$found" ;; esac
      done
    done
  done | sort -u
}

refuse_other_handler() {
  [ -n "$TELL_CONTAINERD" ] || return 0
  if [ -n "$CONTAINERD" ] && [ -f "$CONFIG" ] && ! said=$(ask -c "$(on_node "$CONFIG")" config dump 2>&1 >/dev/null); then
    die "containerd cannot read $(on_node "$CONFIG"): correct it first. It says:
$(printf '%s\n' "$said" | tail -n 3)"
  fi
  [ ! -L "$CONFIG" ] || [ -z "$ROOT" ] || die "$(on_node "$CONFIG") is a symbolic link: name its target by --containerd-config"
  where=$(configuration_files | while read -r file; do
    [ "$file" != "$DROP_IN" ] || continue
    if without_our_lines <"$file" | grep -q "$(handler_table "$HANDLER")"; then on_node "$file" && printf '\n'; fi
  done)
  [ -n "$where" ] || return 0
  if [ -n "$FORCE" ] && [ -n "$DROP_IN" ]; then
    warn "the handler $HANDLER of $where is overridden until uninstall"
    return 0
  fi
  die "containerd already has a runtime handler \"$HANDLER\", in
$(printf '%s\n' "$where" | sed 's/^/  /')
Its pods must keep their shim. Take it out there, or install under another name: --handler kata-edge (and use that name as the
RuntimeClass's handler), or leave containerd's configuration alone: --no-containerd."
}

plugin_table() {
  case $CONFIG_VERSION in
    1) printf 'plugins.cri.containerd.runtimes' ;;
    2) printf 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes' ;;
    *) printf "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes" ;;
  esac
}

handler_text() {
  table=$(plugin_table).$HANDLER
  printf '[%s]\n  runtime_type = "io.containerd.kata.v2"\n' "$table"
  # Distributions start containerd with a PATH of their own.
  if ! shim_is_linked || [ "$DISTRIBUTION" != containerd ]; then
    printf '  runtime_path = "/opt/kata-edge/current/bin/containerd-shim-kata-v2"\n'
  fi
  printf '  privileged_without_host_devices = true\n'
  printf '  pod_annotations = ["io.katacontainers.*"]\n  container_annotations = ["io.katacontainers.*"]\n'
  [ -z "$CONFIG_PATH" ] || printf '[%s.options]\n  ConfigPath = "%s"\n' "$table" "$CONFIG_PATH"
}

# Before 2.0 a file that names any handler does away with the built-in runc.
runc_text() {
  printf '[%s.runc]\n  runtime_type = "io.containerd.runc.v2"\n' "$(plugin_table)"
}

write_handler() {
  CHANGED=''
  [ -n "$TELL_CONTAINERD" ] || return 0
  if handler_is_written; then return 0; fi
  if operator_has_edited "${DROP_IN:-$BLOCK_FILE}"; then
    notice "$(on_node "${DROP_IN:-$BLOCK_FILE}") has been edited since it was written: its handler $HANDLER stays as it is"
    return 0
  fi
  doing "write handler $HANDLER to $(on_node "${DROP_IN:-$BLOCK_FILE}")" || return 0
  take_out_handler
  before=$(handlers_known)
  if [ -n "$DROP_IN" ]; then write_drop_in; else write_block; fi
  expect_handlers "$before"
  CHANGED=yes
}

# Whether the last install wrote the same, and it is still there.
handler_is_written() {
  if [ -n "$DROP_IN" ]; then
    [ -f "$DROP_IN" ] && [ "$(drop_in_text)" = "$(cat "$DROP_IN")" ] || return 1
  else
    [ -f "$BLOCK_FILE" ] || return 1
    written=$(sed -n "/^# kata-edge: begin/,/^# kata-edge: end/p" "$BLOCK_FILE")
    [ "$written" = "$(block_text)" ] || [ "$written" = "$(block_text runc)" ] || return 1
  fi
  [ -z "$CONTAINERD" ] || cri_is_disabled || handlers_known | grep -q -x -- "$HANDLER"
}

# As Docker's packages ship it. ctr, nerdctl and docker need no handler.
cri_is_disabled() {
  [ -f "$CONFIG" ] || return 1
  case $(tr '\n' ' ' <"$CONFIG" | sed -n 's/.*disabled_plugins[[:space:]]*=[[:space:]]*\[\([^]]*\)\].*/\1/p') in
    *'"cri"'* | *"'cri'"* | *io.containerd.grpc.v1.cri*) return 0 ;;
  esac
  return 1
}

# Whether a file in which we wrote the handler has it still, but is not what we wrote.
operator_has_edited() {
  written=$(record_of file "$1")
  [ -n "$written" ] || written=$(record_of edited "$1")
  [ -n "$written" ] && [ -f "$1" ] && [ "$(sum_of "$1")" != "${written%% *}" ] && grep -q "$(handler_table "$HANDLER")" "$1"
}

# What an earlier install wrote about containerd; the rest of the record stays.
take_out_handler() {
  [ -f "$VAR/record" ] || return 0
  grep -v "^link$RECORD_TAB\|^dir$RECORD_TAB" "$VAR/record" >"$VAR/earlier" || :
  while IFS=$RECORD_TAB read -r kind path rest; do
    undo_one "$kind" "$ROOT$path" "$rest"
    [ "$kind" != edited ] || rm -f -- "$VAR/backup/${rest##* }"
    grep -v -F -- "$kind$RECORD_TAB$path$RECORD_TAB" "$VAR/record" >"$VAR/record.new" || :
    mv -f "$VAR/record.new" "$VAR/record"
  done <"$VAR/earlier"
  rm -f "$VAR/earlier"
}

drop_in_text() {
  printf '%s\nversion = %s\n\n' "$BEGIN_MARK" "$CONFIG_VERSION"
  handler_text
  printf '%s\n' "$END_MARK"
}

block_text() {
  printf '%s\n' "$BEGIN_MARK"
  handler_text
  [ -z "${1:-}" ] || runc_text
  printf '%s\n' "$END_MARK"
}

# k3s, RKE2 and k0s read their directories anyhow; containerd has to be told, unless it has heard already.
write_drop_in() {
  make_parents "$DROP_IN"
  drop_in_text >"$DROP_IN.new"
  mv -f -- "$DROP_IN.new" "$DROP_IN"
  record file "$DROP_IN" "$(sum_of "$DROP_IN")"
  [ "$DISTRIBUTION" = containerd ] || return 0
  if [ -n "$CONTAINERD" ]; then
    ! handlers_known | grep -q -x -- "$HANDLER" || return 0
  elif [ -f "$CONFIG" ] && grep -q '^[[:space:]]*imports.*/conf\.d/\*\.toml' "$CONFIG"; then
    return 0
  fi
  import_drop_in
}

import_drop_in() {
  entry="\"$(on_node "$DROP_IN")\""
  if [ ! -f "$CONFIG" ]; then
    write_whole "$CONFIG" "version = $CONFIG_VERSION
imports = [$entry] $ENTRY_MARK"
    return 0
  fi
  backup=$(keep_backup "$CONFIG")
  cp -a -- "$CONFIG" "$CONFIG.kata-edge"
  awk -v entry="$entry" -v mark="$ENTRY_MARK" '
    BEGIN { has = 0; while ((getline line < ARGV[1]) > 0) { if (line ~ /^[ \t]*\[/) break
              if (line ~ /^[ \t]*imports[ \t]*=[ \t]*\[/) has = 1; if (line ~ /^[ \t]*version[ \t]*=/) after = 1 } close(ARGV[1]) }
    !done && !has && !after { print "imports = [" entry "] " mark; done = 1 }
    !done && has && /^[ \t]*imports[ \t]*=[ \t]*\[/ { sub(/\[/, "[" entry ", "); done = 1 }
    { print }
    !done && !has && after && /^[ \t]*version[ \t]*=/ { print "imports = [" entry "] " mark; done = 1 }
  ' "$CONFIG" >"$CONFIG.kata-edge"
  mv -f -- "$CONFIG.kata-edge" "$CONFIG"
  record edited "$CONFIG" "$(sum_of "$CONFIG") $backup"
}

write_block() {
  runc=''
  if [ "$DISTRIBUTION" = containerd ] && ! grep -q -s "$(handler_table runc)" "$BLOCK_FILE"; then runc=runc; fi
  if [ ! -f "$BLOCK_FILE" ]; then
    make_parents "$BLOCK_FILE"
    head=${BASE_TEMPLATE:-version = $CONFIG_VERSION}
    write_whole "$BLOCK_FILE" "$head

$(block_text "$runc")"
    return 0
  fi
  backup=$(keep_backup "$BLOCK_FILE")
  cp -a -- "$BLOCK_FILE" "$BLOCK_FILE.kata-edge"
  # A last line without its end would run into ours.
  [ -z "$(tail -c 1 -- "$BLOCK_FILE")" ] || printf '\n' >>"$BLOCK_FILE.kata-edge"
  block_text "$runc" >>"$BLOCK_FILE.kata-edge"
  mv -f -- "$BLOCK_FILE.kata-edge" "$BLOCK_FILE"
  record edited "$BLOCK_FILE" "$(sum_of "$BLOCK_FILE") $backup"
}

write_whole() {
  make_parents "$1"
  printf '%s\n' "$2" >"$1.new"
  mv -f -- "$1.new" "$1"
  record file "$1" "$(sum_of "$1")"
}

# Asks containerd. Where it does not know the handler, or one that it knew is gone, everything is put back.
expect_handlers() {
  if cri_is_disabled; then
    warn "$(on_node "$CONFIG") disables containerd's CRI plugin (disabled_plugins), which Kubernetes needs and ctr, nerdctl and docker do not"
    return 0
  fi
  [ -n "$CONTAINERD" ] || return 0
  after=$(handlers_known)
  lost=$(printf '%s\n' "$1" | while read -r name; do
    [ -z "$name" ] || printf '%s\n' "$after" | grep -q -x -- "$name" || printf '%s ' "$name"
  done)
  if printf '%s\n' "$after" | grep -q -x -- "$HANDLER" && [ -z "$lost" ]; then return 0; fi
  said=$(ask -c "$(on_node "$CONFIG")" config dump 2>&1 >/dev/null | tail -n 3)
  take_out_handler
  die "containerd does not take the handler${lost:+, and loses $lost}: its configuration is as it was.
${said:+It says: $said
}A file that $(on_node "$CONFIG") imports probably has a section of the CRI plugin, which replaces the one in the main file. Add this there:

$(handler_text)"
}
