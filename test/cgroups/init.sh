#!/bin/sh
# The first process of run.sh's kernel.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp PARRY_TEST_CGROUPS=require PARRY_PYTHON
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for dir in /tmp /run /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$dir"; done
cd "$FOLDER" && "$PROGRAM" -test.v -test.run "$TESTS"
echo "the tests end with $?"
echo o >/proc/sysrq-trigger
sleep 60
