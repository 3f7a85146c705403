# What the guest does with each disk, in its busybox shell. Lines with @@demo are read by dom0.
# Older busybox has no direct I/O in dd.
# Seconds since the boot, to the hundredth.
now() { cut -d ' ' -f 1 /proc/uptime; }
say() { echo "@@demo $disk $*"; }
fail() {
    say failed "$*"
    exit 1
}

for disk in "$@"; do
    tries=0
    while [ ! -b /dev/$disk ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || fail "the disk has not come"
        usleep 100000
    done
    say device $(cat /sys/block/$disk/size) sectors, $(ls /sys/block/$disk/mq | wc -l) queues
    mount -t ext4 /dev/$disk /mnt || fail "cannot mount it"
    cd /mnt
    say mounted
    sha256sum -c from-dom0.sha256 >/dev/null || fail "the file from dom0 is not what dom0 wrote"
    say verified
    dd if=/dev/urandom of=from-guest bs=1M count=32 2>/dev/null || fail "cannot write a file"
    sha256sum from-guest >from-guest.sha256
    sync
    say written $(cut -c 1-12 from-guest.sha256)
    writing=$(now)
    dd if=/dev/zero of=scratch bs=1M count=16 oflag=direct 2>/dev/null ||
        dd if=/dev/zero of=scratch bs=1M count=16 conv=fsync 2>/dev/null || fail "cannot write"
    written=$(now)
    rm scratch
    sync
    trimmed=$(fstrim -v /mnt) || fail "cannot discard free space"
    say trimmed ${trimmed#*: }
    cd /
    umount /mnt || fail "cannot unmount it"
    say unmounted
    reading=$(now)
    dd if=/dev/$disk of=/dev/null bs=1M count=64 iflag=direct 2>/dev/null ||
        dd if=/dev/$disk of=/dev/null bs=1M count=64 2>/dev/null || fail "cannot read"
    say rates 64 $reading $(now) 16 $writing $written
done
