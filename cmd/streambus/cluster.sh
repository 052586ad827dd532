#!/usr/bin/env bash
# Three nodes on this machine, as one cluster: what `make cluster` runs. Ctrl-C stops them one after the other, so that each can
# hand its leaderships over. A node that ends by itself (or is killed, to see what happens) is named with the command that
# starts it again; the others go on.
#
#   cluster.sh BINARY [flag of streambus serve]...
#
# Ports and place come from the environment: each node's ports are 10 above those of the one before.
set -euo pipefail

program="${1:?usage: cluster.sh BINARY [flag of streambus serve]...}"
shift
flags=("$@")
data="${DATA:-./data}"
broker_port="${BROKER_PORT:-9092}"
cluster_port="${CLUSTER_PORT:-9093}"
admin_port="${ADMIN_PORT:-8080}"
within=60 # seconds that a start, or the stop of one node, may take
host=127.0.0.1
pids=(0 0 0 0)

# at PORT N is the address of node N whose first sibling has that port.
at() { echo "$host:$(($1 + ($2 - 1) * 10))"; }

# command_of N puts the node's command into words.
command_of() {
  words=("$program" serve --node-id "$1" --data-dir "$data/$1" --listen "$(at "$broker_port" "$1")"
    --cluster-listen "$(at "$cluster_port" "$1")" --admin-listen "$(at "$admin_port" "$1")" --quorum "$voters" ${flags[@]+"${flags[@]}"})
}

# A job of its own process group, so that Ctrl-C reaches this script alone and a node gets one signal, not two.
start() {
  command_of "$1"
  set -m
  "${words[@]}" </dev/null >>"$data/$1.log" 2>&1 &
  pids[$1]=$!
  set +m
}

alive() { [ "${pids[$1]}" -ne 0 ] && kill -0 "${pids[$1]}" 2>/dev/null; }

# ready N asks the node's readiness page, with nothing but bash.
ready() {
  local port=$((admin_port + ($1 - 1) * 10)) line=""
  { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || return 1
  printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
  read -r line <&3 || true
  exec 3>&-
  [[ "$line" == *" 200 "* ]]
}

await_ready() {
  local n tries
  for n in 1 2 3; do
    for ((tries = within * 10; tries > 0; tries--)); do
      if ready "$n"; then break; fi
      if ! alive "$n"; then
        echo "node $n ended while it started; the end of $data/$n.log:" >&2
        tail -n 5 "$data/$n.log" >&2
        return 1
      fi
      sleep 0.1
    done
    if [ "$tries" -eq 0 ]; then
      echo "node $n does not serve after $within s; see $data/$n.log" >&2
      return 1
    fi
  done
}

stop_all() {
  trap '' INT TERM
  local n tries code=0
  for n in 3 2 1; do
    alive "$n" || continue
    kill -TERM "${pids[$n]}" 2>/dev/null || true
    for ((tries = within * 10; tries > 0; tries--)); do
      alive "$n" || break
      sleep 0.1
    done
    if alive "$n"; then
      echo "node $n does not stop; it is ended at once"
      kill -KILL "${pids[$n]}" 2>/dev/null || true
    fi
    wait "${pids[$n]}" || code=1
  done
  if [ "$code" -eq 0 ]; then echo "stopped"; else echo "a node did not end cleanly; see $data/*.log"; fi
  exit "${1:-$code}"
}

voters="1@$(at "$cluster_port" 1),2@$(at "$cluster_port" 2),3@$(at "$cluster_port" 3)"
bootstrap="$(at "$broker_port" 1),$(at "$broker_port" 2),$(at "$broker_port" 3)"
mkdir -p "$data"
trap 'stop_all' INT TERM
for n in 1 2 3; do start "$n"; done
await_ready || stop_all 1
cat <<TEXT
three nodes are up

  bootstrap  $bootstrap
  health     http://$(at "$admin_port" 1)/readyz, metrics beside it
  data       $data/1 $data/2 $data/3, logs $data/1.log $data/2.log $data/3.log
  look       $program cluster describe -b $bootstrap

Ctrl-C stops all three.
TEXT
while [ "${pids[1]}" -ne 0 ] || [ "${pids[2]}" -ne 0 ] || [ "${pids[3]}" -ne 0 ]; do
  for n in 1 2 3; do
    if [ "${pids[$n]}" -ne 0 ] && ! alive "$n"; then
      code=0
      wait "${pids[$n]}" || code=$?
      pids[$n]=0
      command_of "$n"
      echo "node $n ended (exit code $code); the others go on. To start it again: $(printf '%q ' "${words[@]}")"
    fi
  done
  sleep 1
done 2>/dev/null # bash has lines of its own for who was killed
echo "all nodes have ended" >&2
exit 1
