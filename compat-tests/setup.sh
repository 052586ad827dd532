#!/usr/bin/env bash
# Installs what the tests need beside Go: kcat, a JDK, Maven, strace, Python and Node.js with Debian's packages, and apt's
# package lists (their descriptions are the tests' real input), as root on a Debian; then the client libraries of the
# drivers, at the versions that drivers/ pins, into the user's cache directory. What is there already costs no time. What
# can't be had is named, and the tests leave it out; with CI=true that is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source drivers/cache.sh

missing_tools() {
  command -v kcat >/dev/null || echo kcat
  command -v javac >/dev/null || echo default-jdk-headless
  command -v mvn >/dev/null || echo maven
  command -v strace >/dev/null || echo strace
  command -v python3 >/dev/null || echo python3
  can_make_venv || echo python3-venv
  command -v npm >/dev/null || echo npm
}

# Python's own module is there without ensurepip where Debian's python3-venv is not installed. An environment that was made
# already needs neither.
can_make_venv() {
  python_works || python3 -c 'import ensurepip, venv' 2>/dev/null
}

# The lists are there if apt knows more than what is installed.
has_lists() {
  [ "$(apt-cache dumpavail 2>/dev/null | head -c 1000000 | wc -c)" -ge 1000000 ]
}

# quietly WHAT COMMAND...: says what is done, and what the command printed if it fails.
quietly() {
  local what="$1" log status=0
  shift
  echo "setup: $what"
  log="$(mktemp)"
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" != 0 ]; then tail -n 40 "$log"; fi
  rm -f "$log"
  return "$status"
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  quietly "apt-get update" apt-get update -qq || return 1
  [ $# -eq 0 ] || quietly "apt-get install $*" apt-get install -y -qq --no-install-recommends "$@"
}

# into FOLDER COMMAND...: the command, which gets a folder to fill as its last argument; the whole folder then appears at
# once, so that a set-up that was cut short leaves nothing half done.
into() {
  local folder="$1" half
  shift
  mkdir -p "$cache_root"
  half="$(mktemp -d "$cache_root/half-XXXXXX")"
  if "$@" "$half"; then
    rm -rf "$folder"
    mv -T "$half" "$folder" 2>/dev/null || mv "$half" "$folder"
  else
    rm -rf "$half"
    return 1
  fi
}

# An environment breaks when the Python that it was made with goes, so it is asked.
python_works() {
  [ -f "$(python_folder)/complete" ] && "$(python_folder)/bin/python" -c '' 2>/dev/null
}

python_install() {
  python3 -m venv "$1" &&
    "$1/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: --no-deps -r drivers/python/requirements.txt &&
    "$1/bin/python" -B -c 'import aiokafka, confluent_kafka, kafka, lz4.frame, snappy, zstandard' &&
    touch "$1/complete"
}

node_works() { [ -f "$(node_folder)/complete" ]; }

# The clients need a newer Node.js than Debian has; it comes as a package beside them, and npm runs with what there is.
node_install() {
  cp drivers/node/package.json drivers/node/package-lock.json "$1" &&
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error &&
    touch "$1/complete"
}

java_works() { [ -f "$(java_folder "$1")/complete" ]; }

java_install() {
  local version="$1" folder="$2"
  mvn -q -B -f "drivers/java/kafka-clients-$version.xml" dependency:copy-dependencies "-DoutputDirectory=$folder/jars" &&
    javac -nowarn -proc:none -d "$folder/classes" -cp "$folder/jars/*" \
      drivers/java/src/*.java "drivers/java/src-$(java_api "$version")"/*.java &&
    jar cf "$folder/jars/driver.jar" -C "$folder/classes" . && rm -r "$folder/classes" &&
    touch "$folder/complete"
}

# java_archive VERSION keeps what a JVM makes of the classes that a driver loads, so that each of the many starts costs less.
# It can only be made where the jars will lie. Without it the drivers run as well.
java_archive() {
  local folder
  folder="$(java_folder "$1")"
  if [ ! -f "$folder/complete" ] || [ -f "$folder/driver.jsa" ]; then return; fi
  printf '%s\n' '{"id":1,"op":"join","group":"g","topics":["t"],"session_timeout_ms":6000}' '{"id":2,"op":"quit"}' |
    timeout 60 java "${java_flags[@]}" -XX:ArchiveClassesAtExit="$folder/driver.jsa" -cp "$(java_classpath "$folder")" \
      Driver --bootstrap 127.0.0.1:1 --client "kafka-clients-$1" >/dev/null 2>&1 || true
}

left_out=()

# have WHAT CHECK... -- INSTALL...: installs what the check does not find, or notes that it is left out.
have() {
  local what="$1" check=()
  shift
  while [ "$1" != -- ]; do
    check+=("$1")
    shift
  done
  shift
  if "${check[@]}"; then return; fi
  quietly "$what" "$@" && "${check[@]}" || left_out+=("$what")
}

mapfile -t missing < <(missing_tools)
lists=yes
if command -v apt-get >/dev/null; then has_lists || lists=no; fi
if [ ${#missing[@]} -gt 0 ] || [ "$lists" = no ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt_install "${missing[@]}" || echo "setup: apt-get failed"
  fi
fi
mapfile -t left_out < <(missing_tools)

have "the Python clients" python_works -- into "$(python_folder)" python_install
have "the JavaScript clients" node_works -- into "$(node_folder)" node_install
for version in $java_versions; do
  have "kafka-clients $version" java_works "$version" -- into "$(java_folder "$version")" java_install "$version"
  java_archive "$version"
done

if [ ${#left_out[@]} -gt 0 ]; then
  printf 'setup: not on this machine, so the tests that need it are left out: %s\n' "${left_out[@]}"
  if [ "${CI:-}" = true ]; then
    echo "setup: CI=true, and nothing may be left out"
    exit 1
  fi
fi
