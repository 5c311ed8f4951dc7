# Read by /etc/kernel/postinst.d/initramfs-tools.
export INITRD=No
