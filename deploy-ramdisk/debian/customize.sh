# Runs once in the namespace of mmdebstrap, with the new root in $1, after all
# packages are configured. Takes away what must differ between instances and
# what only costs time at boot.
set -eu
root=$1

# One identity an instance, made at its first boot. The file can be read-only,
# which stops everybody but the real root from writing to it.
rm -f "$root/etc/machine-id"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
ln -s /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -f "$root"/vmlinuz.old "$root"/initrd.img.old
rm -rf "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/debconf/*-old \
    "$root"/var/lib/dpkg/*-old
mkdir -p "$root/boot/efi"

# Nothing waits for the network: cloud-init's data is on the disk.
chroot "$root" systemctl enable --quiet systemd-networkd.service farrier-instance.service
chroot "$root" systemctl mask --quiet systemd-networkd-wait-online.service \
    cloud-init-hotplugd.socket e2scrub_all.timer e2scrub_reap.service \
    apt-daily.timer apt-daily-upgrade.timer systemd-pstore.service
