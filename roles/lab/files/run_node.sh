#!/bin/sh
# Runs one lab node until it is powered off. Called in the node's cgroup, in the lab's network namespace and in a mount
# namespace of its own, so that the node's disk is nobody else's mount and goes with its last process.
#   run_node.sh IMAGE DISK NSPAWN-OPTION...
set -eu
image=$1 disk=$2
shift 2
mount -t tmpfs tmpfs /run # what systemd-nspawn leaves there when it is killed stays in here and goes with it
mount -t overlay overlay -o "lowerdir=$image,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
while :; do
  status=0
  systemd-nspawn --directory="$disk/root" "$@" || status=$?
  [ "$status" = 133 ] || exit "$status" # 133: it rebooted
done
