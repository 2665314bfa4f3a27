// SPDX-License-Identifier: GPL-2.0
/*
 * ga_log DEVICE VMS ENTRIES [VCPUS]: what it costs the host to read the IOMMU's GA Log while so
 * many VMs are on KVM's list.
 *
 * DEVICE, which VFIO has, sends ENTRIES MSIs to a vCPU that is halted.  Each is logged, and
 * KVM wakes the vCPU.  Then it sends more at a time than the log holds, to a vCPU that none
 * of them can wake: the log overflows.  All other VMs have a vCPU that never runs; or with
 * VCPUS as many that are halted, and had the device, so that an overflow concerns them.
 *
 * Printed is the CPU time in ns of the kernel's threads that deal with it: that of the log
 * for the entries, and all workers without a CPU of their own, as well, for the overflow.
 * With QEMU=ci/emulator/icount these are instructions.  If the kernel's tracer is irqsoff,
 * also for how many us IRQs were off at a time, at most, while the log overflowed ROUNDS times.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>

#include "msi_device.h"

#define VECTOR		0x60
#define LOG_CPU		0
#define LOG_ENTRIES	512	/* what Linux makes it for */
#define TPR		0x080
#define ROUNDS		10
#define TRACING		"/sys/kernel/tracing/"

/* The IRQ of the log: of newer kernels it has one, of older ones all of an IOMMU's are one. */
static unsigned int log_irq(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned int irq, found = 0;
	char *line = NULL;
	size_t size;

	if (!file)
		err(1, "/proc/interrupts");
	while (getline(&line, &size, file) > 0)
		if (sscanf(line, "%u:", &irq) == 1 && strstr(line, "AMD-Vi") &&
		    !strstr(line, "-Evt") && !strstr(line, "-PPR"))
			found = irq;
	check(found, "no IRQ of an IOMMU's log");
	free(line);
	fclose(file);
	return found;
}

/* CPU time of all threads of the kernel's whose names begin like that, and the last one's ID. */
static long long cpu_time(const char *begins, pid_t *last)
{
	struct timespec used;
	long long all = 0;
	struct dirent *entry;
	char path[300], name[64];
	clockid_t clock;
	FILE *file;
	DIR *proc;

	proc = opendir("/proc");
	if (!proc)
		err(1, "/proc");
	while ((entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = isdigit(entry->d_name[0]) ? fopen(path, "r") : NULL;
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && !strncmp(name, begins, strlen(begins)) &&
		    !clock_getcpuclockid(atoi(entry->d_name), &clock) && !clock_gettime(clock, &used)) {
			all += used.tv_sec * 1000000000LL + used.tv_nsec;
			if (last)
				*last = atoi(entry->d_name);
		}
		fclose(file);
	}
	closedir(proc);
	return all;
}

/* A process that has VMs with a vCPU each, and goes with its parent; it says when they are there. */
static void have_vms(int number, int ready)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	for (; number; number--) {
		xioctl(create_vm(&kvm, false), KVM_CREATE_VCPU, 0);
		close(kvm);
	}
	close(ready);
	for (;;)
		pause();
}

static void *run_halted(void *fd)
{
	for (;;)
		if (ioctl((long)fd, KVM_RUN, 0) && errno != EINTR)
			err(1, "KVM_RUN of a halted vCPU");
	return NULL;
}

/* A process that has a VM whose vCPUs are all halted, and that had the device. */
static void have_guest(int number, int eventfd, int ready)
{
	struct kvm_userspace_memory_region slot = { .guest_phys_addr = CODE, .memory_size = 0x1000 };
	struct kvm_irqfd irqfd = { .fd = eventfd, .gsi = IRQFD_GSI, .flags = KVM_IRQFD_FLAG_DEASSIGN };
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = { .rip = CODE, .rflags = 0x202 };
	struct kvm_sregs sregs;
	pthread_t thread;
	int fd, stats;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "prctl");
	vm = create_vm(&kvm, false);
	memory = mmap(NULL, slot.memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap of guest memory");
	memcpy(memory, "\xf4\xeb\xfd", 3);	/* hlt; jmp back */
	slot.userspace_addr = (unsigned long)memory;
	xioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	for (; number; number--) {
		fd = xioctl(vm, KVM_CREATE_VCPU, number - 1);
		stats = xioctl(fd, KVM_GET_STATS_FD, 0);
		xioctl(fd, KVM_GET_SREGS, &sregs);
		sregs.cs.base = sregs.cs.selector = 0;
		xioctl(fd, KVM_SET_SREGS, &sregs);
		xioctl(fd, KVM_SET_REGS, &regs);
		xioctl(fd, KVM_SET_MP_STATE, &runnable);
		if (pthread_create(&thread, NULL, run_halted, (void *)(long)fd))
			err(1, "pthread_create");
		check(within(stat_in(stats, "blocking")), "a vCPU of the crowd does not block");
	}
	connect_irqfd(&vcpus[0], eventfd, VECTOR);
	xioctl(vm, KVM_IRQFD, &irqfd);
	close(ready);
	for (;;)
		pause();
}

/* VMs that are on the list, and do nothing.  With many in one process each costs more than the one before. */
static void crowd(int number, int its_vcpus, int eventfd)
{
	int ready[2], some;

	for (; its_vcpus && number; number--) {
		/* One has the device at a time. */
		if (pipe(ready))
			err(1, "pipe");
		if (!fork())
			have_guest(its_vcpus, eventfd, ready[1]);
		close(ready[1]);
		check(!read(ready[0], &some, 1), "a word nobody said");
		close(ready[0]);
	}
	if (pipe(ready))
		err(1, "pipe");
	for (; number; number -= some) {
		some = number < 100 ? number : 100;
		if (!fork())
			have_vms(some, ready[1]);
	}
	close(ready[1]);
	/* The end of file, when the last one has closed it. */
	check(!read(ready[0], &some, 1), "a word nobody said");
}

/* Have the log's thread wait until this one sleeps. */
static void hold_up(unsigned int irq, pid_t thread)
{
	const struct sched_param none = {}, first = { .sched_priority = 1 };
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/proc/irq/%u/smp_affinity_list", irq);
	file = open(path, O_WRONLY);
	if (file < 0 || dprintf(file, "%d\n", LOG_CPU) < 0)
		err(1, "%s", path);
	close(file);
	if (sched_setscheduler(thread, SCHED_IDLE, &none) || sched_setscheduler(0, SCHED_FIFO, &first))
		err(1, "sched_setscheduler");
	pin(LOG_CPU);
}

/* What a file of the tracer's says, up to so many bytes. */
static char *traced(const char *name, int bytes)
{
	static char text[4096];
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), TRACING "%s", name);
	file = fopen(path, "r");
	if (!file)
		err(1, "%s", path);
	text[fread(text, 1, bytes, file)] = 0;
	fclose(file);
	return text;
}

/* Let the log overflow ROUNDS times more, and tell for how long IRQs were off. */
static void tell_irqs_off(struct kind kind)
{
	FILE *file;
	char *line;
	int round, i;

	file = fopen(TRACING "tracing_max_latency", "w");
	if (!file || fputs("0", file) < 0 || fclose(file))
		err(1, "tracing_max_latency");
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < 2 * LOG_ENTRIES; i++)
			kind.send();
		sleep(1);
	}
	printf("IRQs off %s", traced("tracing_max_latency", 32));
	for (line = strtok(traced("trace", 2000), "\n"); line; line = strtok(NULL, "\n"))
		if (strstr(line, "=> started at") || strstr(line, "=> ended at"))
			puts(line);
}

int main(int argc, char **argv)
{
	struct vcpu *vcpu = &vcpus[1];
	volatile uint32_t *taken;
	unsigned int irq = log_irq();
	uint32_t before, i, entries;
	long long log, workers;
	struct kind kind;
	char thread[16];
	pid_t its = 0;
	int fd;

	if ((argc != 4 && argc != 5) || atoi(argv[2]) < 1 || atoi(argv[3]) < 1)
		errx(2, "usage: ga_log DEVICE VMS ENTRIES [VCPUS]");
	address = argv[1];
	entries = atoi(argv[3]);
	snprintf(thread, sizeof(thread), "irq/%u-", irq);

	kind = kind_of(attribute("class"), attribute("vendor"));
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	open_device(fd);
	crowd(atoi(argv[2]) - 1, argc > 4 ? atoi(argv[4]) : 0, fd);
	new_vm(false);
	add_vcpu(1, 1);
	connect_irqfd(&vcpus[1], fd, VECTOR);
	start_vcpu(1, true);
	kind.start();

	taken = &vcpu->mailbox->taken[VECTOR];
	log = cpu_time(thread, &its);
	check(its, "IRQ %u has no thread", irq);
	for (i = 0; i < entries; i++) {
		halt(vcpu);
		before = *taken;
		kind.send();
		check(within(*taken != before), "interrupt %u of %u did not arrive", i + 1, entries);
		finish(vcpu, "an interrupt of the device");
	}
	printf("entries %lld\n", cpu_time(thread, NULL) - log);

	write_reg(vcpu, TPR, 0xf0);
	halt(vcpu);
	hold_up(irq, its);
	usleep(100000);	/* it may not be done with the last entry */
	log = cpu_time(thread, NULL);
	workers = cpu_time("kworker/u", NULL);
	for (i = 0; i < 2 * LOG_ENTRIES; i++)
		kind.send();
	check(cpu_time(thread, NULL) == log, "the log was read meanwhile");
	sleep(1);
	printf("overflow log %lld\n", cpu_time(thread, NULL) - log);
	printf("overflow workers %lld\n", cpu_time("kworker/u", NULL) - workers);
	if (!strncmp(traced("current_tracer", 32), "irqsoff", 7))
		tell_irqs_off(kind);
	fflush(stdout);
	/* The vCPU's thread never ends. */
	_exit(0);
}
