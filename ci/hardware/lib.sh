# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the scripts on the machine share.  They run in the bundle's busybox, as the
# emulated guest's do; `take` runs in the machine's own shell.
# shellcheck disable=SC2034 # used by the scripts that read this file

job=/run/avic
work=$job/work
mark=/run/avic.reboot
tracing=/sys/kernel/tracing
pci=/sys/bus/pci/devices
# No run that is in its right mind has a longer log.  /run may be small.
log_bytes=16000000

# Not the time of day: somebody may set the clock.
uptime_s() {
	read -r up _ </proc/uptime
	echo "${up%.*}"
}

# started PID: when this process began.  Its number may be used again, the two together are not.
started() {
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

# remember NAME PID: note a process of the job.
remember() {
	echo "$2 $(started "$2")" >"$job/$1"
}

# alive NAME: print the number of the process that was noted, if it is still there.
alive() {
	[ -e "$job/$1" ] && read -r pid start <"$job/$1" && [ -n "$start" ] &&
		[ "$(started "$pid")" = "$start" ] && echo "$pid"
}

# within SECONDS COMMAND...: run it; after so many seconds go on without it, for a process
# that is stuck in the kernel has no end.  Exit status 124 then, and a reboot is due.
within() {
	end=$(($(uptime_s) + $1))
	shift
	"$@" &
	child=$!
	while kill -0 $child 2>/dev/null; do
		if [ "$(uptime_s)" -ge $end ]; then
			echo "no end in: $*" | tee -a $mark
			grep -l "^PPid:[[:space:]]*$child\$" /proc/[0-9]*/status 2>/dev/null | cut -d / -f 3 |
				xargs kill -KILL $child
			return 124
		fi
		sleep 0.1
	done
	wait $child
}

# lease_is_over SECONDS: whether the driver has shown no sign of life for so long; keeps what it saw
# in last_stamp and renewed.
lease_is_over() {
	stamp=$(stat -c %y $job/lease)
	if [ "$stamp" != "$last_stamp" ]; then
		last_stamp=$stamp renewed=$(uptime_s)
	fi
	[ $(($(uptime_s) - renewed)) -gt "$1" ]
}

# capped: copy stdin to stdout as it comes, up to log_bytes.
capped() {
	dd bs=64k iflag=count_bytes count=$log_bytes status=none
}

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
	for module in kvm kvm_amd $(cat $job/loaded 2>/dev/null); do
		[ ! -d "/sys/module/$module" ] || echo "module $module"
	done
	stat -c 'device %a %u:%g' /dev/kvm 2>/dev/null
	# What tests set, but not what the kernel itself changes.
	grep -rs . /proc/sys/kernel /proc/sys/vm /proc/irq/default_smp_affinity /sys/kernel/mm/hugepages/*/nr_* \
		/sys/kernel/mm/transparent_hugepage/*enabled /sys/kernel/mm/transparent_hugepage/defrag |
		grep -v '/random/\|/ns_last_pid\|/pty/nr\|/tainted\|/perf_event_max_sample_rate' | sed 's/^/setting /'
	grep -s . /sys/module/kvm/parameters/* /sys/module/kvm_amd/parameters/* |
		sed 's,/sys/module/\([^/]*\)/parameters/\([^:]*\):,parameter \1 \2 ,'
	with_tracing sh -c "cat $tracing/kprobe_events; ls $tracing/instances" | sed 's/^/tracing /'
	[ -z "$(vfio)" ] || echo "vfio $(cat "$pci/$(vfio)/driver_override") $(basename "$(readlink "$pci/$(vfio)/driver")")"
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

# bind OVERRIDE DRIVER: give the spare device to this driver, with this driver_override; each may be ''.
bind() {
	[ ! -e "$pci/$(vfio)/driver" ] || vfio >"$pci/$(vfio)/driver/unbind"
	echo "$1" >"$pci/$(vfio)/driver_override"
	[ -z "$2" ] || vfio >"/sys/bus/pci/drivers/$2/bind"
}
