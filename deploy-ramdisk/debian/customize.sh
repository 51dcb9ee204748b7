# mmdebstrap runs this in its namespace, with the new root in $1, after all packages
# are configured. It removes what must differ between instances and what slows the
# boot down.
set -eu
root=$1

# Each instance creates its identity at its first boot. The file can be
# read-only, which stops the root of fakeroot from writing to it.
rm -f "$root/etc/machine-id"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
ln -s /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -f "$root"/vmlinuz.old "$root"/initrd.img.old
rm -rf "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/debconf/*-old \
    "$root"/var/lib/dpkg/*-old
mkdir -p "$root/boot/efi"

# No service waits for the network: cloud-init's data is on the disk.
chroot "$root" systemctl enable --quiet systemd-networkd.service farrier-instance.service
chroot "$root" systemctl mask --quiet systemd-networkd-wait-online.service \
    cloud-init-hotplugd.socket e2scrub_all.timer e2scrub_reap.service \
    apt-daily.timer apt-daily-upgrade.timer systemd-pstore.service
