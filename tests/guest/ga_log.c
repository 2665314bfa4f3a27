// SPDX-License-Identifier: GPL-2.0
/*
 * ga_log DEVICE VMS ENTRIES: what it costs the host to read the IOMMU's GA Log while so
 * many VMs are on KVM's list.
 *
 * DEVICE, which VFIO has, sends ENTRIES MSIs to a vCPU that is halted.  Each is logged, and
 * KVM wakes the vCPU.  Then it sends more at a time than the log holds, to a vCPU that none
 * of them can wake: the log overflows.  All other VMs have a vCPU that never runs.
 *
 * Printed is the CPU time in ns of the kernel's threads that deal with it: that of the log
 * for the entries, and all workers without a CPU of their own, as well, for the overflow.
 * With QEMU=ci/emulator/icount these are instructions.
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

/* VMs that are on the list, and do nothing.  With many in one process each costs more than the one before. */
static void crowd(int number)
{
	int ready[2], some;

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

	if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1)
		errx(2, "usage: ga_log DEVICE VMS ENTRIES");
	address = argv[1];
	entries = atoi(argv[3]);
	snprintf(thread, sizeof(thread), "irq/%u-", irq);

	crowd(atoi(argv[2]) - 1);
	kind = start_with_device(VECTOR, true);

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
	fflush(stdout);
	/* The vCPU's thread never ends. */
	_exit(0);
}
