# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts on the machine share.  They run in the bundle's busybox, as the
# emulated guest's do.
# shellcheck disable=SC2034 # used by the scripts that read this file

job=/run/avic
work=$job/work
mark=/run/avic.reboot
tracing=/sys/kernel/tracing
pci=/sys/bus/pci/devices

# own PROGRAM ARGUMENT...: run the machine's own program, not busybox's of that name.
own() {
	for folder in /usr/local/sbin /usr/sbin /sbin /usr/bin /bin; do
		if [ -x "$folder/$1" ]; then
			program=$folder/$1
			shift
			"$program" "$@"
			return
		fi
	done
	echo "no $1 on this machine"
	return 127
}

# with_tracing COMMAND...: run it with tracefs; if it is not mounted, mount it for this command.
with_tracing() {
	if [ -e $tracing/kprobe_events ]; then
		"$@"
	else
		unshare -m sh -c "mount -t tracefs tracefs $tracing 2>/dev/null; \"\$@\"" - "$@"
	fi
}

vfio() {
	cat $work/want/vfio 2>/dev/null
}

# stopping_taints: the taints of ci/run/splats that the kernel has now.
stopping_taints() {
	# Not by `read`: it reads byte by byte, and a sysctl file ends after the first one then.
	now=$(cat /proc/sys/kernel/tainted)
	while read -r bit what; do
		[ $((now >> bit & 1)) -eq 0 ] || echo "$what"
	done <$work/want/taints
}

# snapshot: print the present state of all that a job changes.
snapshot() {
	for module in kvm kvm_amd $(sort -u $job/loaded 2>/dev/null); do
		[ ! -d "/sys/module/$module" ] || echo "module $module"
	done
	grep -s . /sys/module/kvm/parameters/* /sys/module/kvm_amd/parameters/* |
		sed 's,/sys/module/\([^/]*\)/parameters/\([^:]*\):,parameter \1 \2 ,'
	with_tracing sh -c "cat $tracing/kprobe_events; ls $tracing/instances" | sed 's/^/tracing /'
	[ -z "$(vfio)" ] || echo "vfio $(vfio) $(basename "$(readlink "$pci/$(vfio)/driver")")"
}

# unload: remove all KVM modules.  A process that has just died may still hold one: try again.
unload() {
	tries=100
	while [ -d /sys/module/kvm ] && [ $((tries -= 1)) -gt 0 ]; do
		rmmod kvm_amd 2>/dev/null
		rmmod kvm 2>/dev/null || sleep 0.1
	done
	[ ! -d /sys/module/kvm ]
}

# bind DRIVER: give the spare device to this driver; '' means its default driver.
bind() {
	[ ! -e "$pci/$(vfio)/driver" ] || vfio >"$pci/$(vfio)/driver/unbind"
	echo "$1" >"$pci/$(vfio)/driver_override"
	vfio >/sys/bus/pci/drivers_probe
}
