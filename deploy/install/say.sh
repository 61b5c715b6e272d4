# What is said, and what stops.

notice() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: warning: %s\n' "$*" >&2; }

# Nothing has been changed when this is said, or what had been changed has been put back.
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

# In a dry run, says what would be done; does it otherwise. Paths are said as they are on the node.
doing() {
  if [ -n "$DRY" ]; then
    notice "would $*"
    return 1
  fi
  return 0
}

# A path on the node, without the root before it.
on_node() { printf '%s' "${1#"$ROOT"}"; }
