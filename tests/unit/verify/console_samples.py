"""Lines of consoles: for each rule those that it must find, as the programs print them, and those that it must not.

The texts are those of Linux (kernel/panic.c, kernel/watchdog.c, kernel/hung_task.c, kernel/rcu/tree_stall.h,
mm/oom_kill.c, arch/x86/mm/fault.c, block/blk-core.c, fs/ext4/super.c, fs/fat/inode.c), systemd, util-linux, GRUB 2,
initramfs-tools, dracut, e2fsprogs, dosfstools, SeaBIOS and EDK II.
"""

from __future__ import annotations

FIRES: dict[str, tuple[str, ...]] = {
    "kernel-panic": (
        "[    1.583412] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        "debian login: [  99.120000] Kernel panic - not syncing: sysrq triggered crash",
    ),
    "kernel-oops": (
        "[    1.770141][    T1] BUG: unable to handle page fault for address: fffba000",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "[    3.100000] kernel BUG at fs/ext4/inode.c:1234!",
        "[   20.000001] Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "[   20.000001] general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
        "[    9.000000] Internal error: Oops: 96000004 [#1] SMP",
    ),
    "kernel-warning": ("[    3.200000] WARNING: CPU: 1 PID: 77 at fs/fuse/dir.c:99 fuse_lookup+0x10/0x20",),
    "soft-lockup": (
        "[   48.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/1:0]",
        "[   48.000000] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 43s!",
        "[   60.000000] NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
    ),
    "rcu-stall": (
        "[   91.839675] rcu: INFO: rcu_preempt self-detected stall on CPU",
        "[   91.839675] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
    ),
    "hung-task": (
        "[  242.000000] INFO: task jbd2/vda1-8:123 blocked for more than 120 seconds.",
        "[  242.000000] INFO: task kworker/u4:1 x:9 blocked in I/O wait for more than 120 seconds.",
    ),
    "out-of-memory": (
        "[   50.000000] Out of memory: Killed process 512 (cloud-init) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
        "[   50.000000] Memory cgroup out of memory: Killed process 512 (x) total-vm:1kB",
        "[   50.000000] Out of memory: Kill process 512 (x) score 900 or sacrifice child",
    ),
    "file-system-unclean": (
        "/dev/vda1 was not cleanly unmounted, check forced.",
        "/dev/vda1: ***** FILE SYSTEM WAS MODIFIED *****",
        "[    2.000000] FAT-fs (vda15): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
        "Dirty bit is set. Fs was not properly unmounted and some data may be corrupt.",
        "[    2.000000] EXT4-fs (vda1): recovery complete",
        "[    2.000000] EXT4-fs (vda1): orphan cleanup on readonly fs",
        "[    2.000000] XFS (vda1): Starting recovery (logdev: internal)",
    ),
    "file-system-broken": (
        "/dev/vda1: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.",
        "[    2.000000] EXT4-fs error (device vda1): ext4_lookup:1821: inode #3932165: comm chown",
        "[    2.000000] EXT4-fs (vda1): warning: mounting fs with errors, running e2fsck is recommended",
        "[    2.000000] EXT4-fs (vda1): Remounting filesystem read-only",
    ),
    "io-error": (
        "[    3.000000] I/O error, dev vda, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
        "[    3.000000] blk_update_request: I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x0",
        "[    3.000000] Buffer I/O error on dev vda1, logical block 0, async page read",
        "[    3.000000] critical medium error, dev sda, sector 0 op 0x0",
    ),
    "disk-full": ("cloud-init[448]: OSError: [Errno 28] No space left on device",),
    "unit-failed": (
        "[FAILED] Failed to start networking…ce - Raise network interfaces.",
        "[\x1b[0;1;31mFAILED\x1b[0m] Failed to mount \x1b[0;1;39mboot-efi.mount\x1b[0m - /boot/efi.",
        "login: [FAILED] Failed unmounting /var.",
    ),
    "unit-timed-out": ("[\x1b[0;1;31m TIME \x1b[0m] Timed out waiting for device dev-ttyS0.device - /dev/ttyS0.",),
    "dependency-failed": ("[\x1b[0;1;38:5:185mDEPEND\x1b[0m] Dependency failed for boot-efi.mount - /boot/efi.",),
    "init-frozen": (
        "[    3.000000] systemd[1]: Freezing execution.",
        "[!!!!!!] Failed to mount API filesystems.",
    ),
    "emergency-shell": (
        'You are in emergency mode. After logging in, type "journalctl -xb" to view',
        "Give root password for maintenance",
        "Press Enter for maintenance",
        "Cannot open access to console, the root account is locked.",
        "[  OK  ] Reached target emergency.target - Emergency Mode.",
        "[  OK  ] Reached target Rescue Mode.",
    ),
    "initramfs-shell": (
        "ALERT!  UUID=143c811b-9b9c-48f3-b0c8-040f6e65f50a does not exist.  Dropping to a shell!",
        "BusyBox v1.37.0 (Debian 1:1.37.0-6+b3) built-in shell (ash)",
        "Entering emergency mode. Exit the shell to continue.",
        "         Starting Dracut Emergency Shell...",
    ),
    "grub-shell": (
        "Entering rescue mode...",
        "grub rescue>",
        "   Minimal BASH-like line editing is supported. For the first word, TAB lists possible",
    ),
    "no-bootable-device": (
        "No bootable device.",
        "No bootable device.  Retrying in 60 seconds.",
        "BdsDxe: No bootable option or device was found.",
        "UEFI Interactive Shell v2.2",
    ),
    "process-crashed": (
        "[   30.000000] udevd[123]: segfault at 7f0 ip 00007f sp 00007ffd error 4 in libc.so.6",
        "[   30.000000] traps: udevd[123] general protection fault ip:7f sp:7ffd error:0 in libc.so.6",
    ),
}

#: lines of boots that went well, which look like the above
HARMLESS = (
    "[    0.000000] Command line: root=UUID=1 ro console=ttyS0 panic=30 systemd.unit=multi-user.target rescue=0",
    "[    0.000000] tsc: Fast TSC calibration failed",
    "[    0.000000] calibrate_delay_direct() failed to get a good estimate for loops_per_jiffy.",
    "[    0.400000] RAS: Correctable Errors collector initialized.",
    "[   13.565207] AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug.",
    '[    1.516497] PCI: Using host bridge windows from ACPI; if necessary, use "pci=nocrs" and report a bug',
    "[    1.575902] acpi PNP0A03:00: fail to add MMCONFIG information, can't access extended configuration space",
    "[    6.000000] blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1",
    "[    6.000000] Buffer I/O error on dev fd0, logical block 0, async page read",
    "[    6.000000] GPT: Use GNU Parted to correct GPT errors.",
    "Warning: fsck not present, so skipping root file system",
    "[  OK  ] Listening on fsck to fsckd communication Socket.",
    "[  OK  ] Reached target multi-user.target - Multi-User System.",
    "         Starting systemd-fsck-root.service - File System Check on Root Device...",
    "[   10.000000] EXT4-fs (vda1): re-mounted. Opts: errors=remount-ro",
    "[   10.000000] EXT4-fs (vda1): mounted filesystem c70fb58b ro with ordered data mode. Quota mode: none.",
    "[   13.076155] systemd-ssh-generator[236]: Failed to query local AF_VSOCK CID: Cannot assign requested address",
    "(sd-exec-[219]: /usr/lib/systemd/system-generators/systemd-ssh-generator failed with exit status 1.",
    "[   13.979543] systemd[1]: Failed to populate /etc with preset unit settings, ignoring: Read-only file system",
    "[   43.348364] platform regulatory.0: Direct firmware load for regulatory.db failed with error -2",
    "[  183.834736] (sd-remount)[1837]: Remounting '/' read-only with options 'errors=remount-ro'.",
    "---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---",
    "[    1.000000] NMI watchdog: Perf NMI watchdog permanently disabled",
    "[    1.000000] clocksource: Watchdog remote CPU 1 read timed out",
    'BdsDxe: loading Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1D,0x0)',
    "[   30.000000] debugfs: Directory 'x' with parent 'y' already present!",
    "      before booting or `c' for a command-line. ESC to return",
    "[   61.379205] cloud-init[376]: Cloud-init v. 22.4.2 running 'init-local' at Sun, 22 Nov 2026 13:37:05 +0000.",
    "GROWROOT: CHANGED: partition=1 start=262144 old: size=6027264 end=6289408 new: size=8126431 end=8388575",
    "rcu: RCU event tracing is enabled. rcu_tasks_kthread stalls are not",
    "[   20.000000] INFO: task was started",
    "Reading /etc/rescue.conf",
)
