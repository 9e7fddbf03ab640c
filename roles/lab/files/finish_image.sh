#!/bin/sh
# The last step of an image: called by mmdebstrap with the image's folder, once.
set -eu
root=$1

chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/admin"
chmod 0440 "$root/etc/sudoers.d/admin"
install -d -o 1000 -g 1000 -m 0700 "$root/home/admin/.ssh"

# The image has no manuals, but Java's package links its own there, and fails where there is no such folder.
mkdir -p "$root/usr/share/man/man1"

# Each lab brings its own host key.
rm -f "$root"/etc/ssh/ssh_host_*
mkdir -p "$root/etc/ssh/sshd_config.d"
printf '%s\n' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'MaxStartups 100' 'UseDNS no' >"$root/etc/ssh/sshd_config.d/lab.conf"

systemctl --root="$root" --quiet enable systemd-networkd.service ssh.service
# Nothing here may start work of its own accord in the middle of a test, nor hold up the boot.
systemctl --root="$root" --quiet mask \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  systemd-networkd-wait-online.service console-getty.service getty.target systemd-firstboot.service \
  sshd-keygen.service

# Packages come over plain HTTP from the lab's proxy, which speaks to the mirror as the mirror's address says.
sed -i 's|https://|http://|' "$root/etc/apt/sources.list"
: >"$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" "$root/etc/hostname" "$root/var/lib/dbus/machine-id"
