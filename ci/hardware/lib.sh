# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts on the machine share.  They run in the bundle's busybox, as
# the guest does.
# shellcheck disable=SC2034 # used by who reads this in

job=/run/avic
work=$job/work
mark=/run/avic.reboot
tracing=/sys/kernel/tracing
pci=/sys/bus/pci/devices

# own PROGRAM ARGUMENT...: the machine's own program, where busybox has one of that name.
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

# with_tracing COMMAND...: tracefs is there meanwhile, mounted for us alone if need be.
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

# stopping_taints: what of ci/run/splats' taints the kernel has now.
stopping_taints() {
	# Not by read: a sysctl ends behind the first byte for who reads one at a time.
	now=$(cat /proc/sys/kernel/tainted)
	while read -r bit what; do
		[ $((now >> bit & 1)) -eq 0 ] || echo "$what"
	done <$work/want/taints
}

# snapshot: all that a job changes, as it is now.
snapshot() {
	for module in kvm kvm_amd $(sort -u $job/loaded 2>/dev/null); do
		[ ! -d "/sys/module/$module" ] || echo "module $module"
	done
	grep -s . /sys/module/kvm/parameters/* /sys/module/kvm_amd/parameters/* |
		sed 's,/sys/module/\([^/]*\)/parameters/\([^:]*\):,parameter \1 \2 ,'
	with_tracing sh -c "cat $tracing/kprobe_events; ls $tracing/instances" | sed 's/^/tracing /'
	[ -z "$(vfio)" ] || echo "vfio $(vfio) $(basename "$(readlink "$pci/$(vfio)/driver")")"
}

# unload: no KVM module is left; what died a moment ago may still hold one.
unload() {
	tries=100
	while [ -d /sys/module/kvm ] && [ $((tries -= 1)) -gt 0 ]; do
		rmmod kvm_amd 2>/dev/null
		rmmod kvm 2>/dev/null || sleep 0.1
	done
	[ ! -d /sys/module/kvm ]
}

# bind DRIVER: the spare device goes to it; to whom it belongs by default if that is ''.
bind() {
	[ ! -e "$pci/$(vfio)/driver" ] || vfio >"$pci/$(vfio)/driver/unbind"
	echo "$1" >"$pci/$(vfio)/driver_override"
	vfio >/sys/bus/pci/drivers_probe
}
