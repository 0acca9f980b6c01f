# PID 1 of a Debian in namespaces of its own: mounts what a container's manager would, and becomes systemd.
# Started as root by booted.py, in its own pid, mount, uts, ipc and network namespace. What is written goes to memory.
set -euo pipefail
lower=$1 work=$2 name=$3 shared=$4
mount --make-rprivate /
mount -t tmpfs -o mode=755,size=3g tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for each in null zero full random urandom tty; do cp -a "/dev/$each" dev/; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
# systemd wants its hierarchy: the named one of cgroup v1, or v2 where the machine has nothing else.
if [ -e /sys/fs/cgroup/systemd ]; then
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
if [ -n "$shared" ]; then   # a folder of the test, at the same place
  mkdir -p "$work/root$shared"
  mount --bind "$shared" "$work/root$shared"
fi
hostname "$name"
mkdir -p old
pivot_root . old
umount -l /old
rmdir /old
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console --show-status=false
