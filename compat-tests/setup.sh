#!/usr/bin/env bash
# Installs what the tests need beside Go: kcat, a headless Java, Maven and strace, and apt's package lists (their
# descriptions are the tests' real input). As root on a Debian it does so by itself; else it says what is missing, which
# the tests then leave out; with CI=true that is a failure.
set -euo pipefail

missing_tools() {
  command -v kcat >/dev/null || echo kcat
  command -v java >/dev/null || echo default-jre-headless
  command -v mvn >/dev/null || echo maven
  command -v strace >/dev/null || echo strace
}

# The lists are there if apt knows more than what is installed.
has_lists() {
  [ "$(apt-cache dumpavail 2>/dev/null | head -c 1000000 | wc -c)" -ge 1000000 ]
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  local log
  log="$(mktemp)"
  trap 'rm -f "$log"' RETURN
  echo "setup: apt-get update"
  apt-get update -qq >"$log" 2>&1 || { cat "$log"; return 1; }
  if [ $# -gt 0 ]; then
    echo "setup: apt-get install $*"
    apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1 || { cat "$log"; return 1; }
  fi
}

mapfile -t missing < <(missing_tools)
lists=yes
if command -v apt-get >/dev/null; then has_lists || lists=no; fi

if [ ${#missing[@]} -gt 0 ] || [ "$lists" = no ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt_install "${missing[@]}" || echo "setup: apt-get failed"
  fi
fi

mapfile -t missing < <(missing_tools)
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: not on this machine, so the tests that need it are left out: ${missing[*]}"
  if [ "${CI:-}" = true ]; then
    echo "setup: CI=true, and nothing may be left out"
    exit 1
  fi
fi
