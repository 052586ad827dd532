# Where the drivers' runtimes and libraries lie, sourced by ../setup.sh and by */run. Nothing here starts a process that
# takes long: `run` is on the path of every driver's start.
#
# A folder has the checksum of the files that say what belongs into it in its name, so a changed version is a new folder.

cache_root="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/streambus-compat"
drivers="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# cached NAME FILE...: the folder of that name for these files.
cached() {
  local name="$1"
  shift
  printf '%s/%s-%s\n' "$cache_root" "$name" "$(cat "$@" | cksum | cut -d' ' -f1)"
}

python_folder() { cached python "$drivers/python/requirements.txt"; }
node_folder() { cached node "$drivers/node/package-lock.json"; }
java_folder() { cached "java-$1" "$drivers/cache.sh" "$drivers/java/kafka-clients-$1.xml" "$drivers"/java/src/*.java "$drivers/java/src-$(java_api "$1")"/*.java; }

# The versions of kafka-clients that are driven, and the sources that know the calls of each.
java_versions="4.3.1 3.9.1 2.8.2 1.1.1"
java_flags=(-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Dorg.slf4j.simpleLogger.defaultLogLevel=warn)
java_classpath() { local IFS=: jars=("$1"/jars/*.jar); echo "${jars[*]}"; } # one by one: the JVM's archive wants it so
java_api() { case "$1" in 1.*) echo old ;; *) echo new ;; esac; }

# missing WHAT: says what is not installed and ends as ../README.md tells.
missing() {
  echo "$1 is not installed: run compat-tests/setup.sh" >&2
  exit 77
}
