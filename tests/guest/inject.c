// SPDX-License-Identifier: GPL-2.0
/*
 * inject split|full|DEVICE [IOCTL FAULT]: VMs in whose making each allocation fails once.
 *
 * Makes the same VM again and again: with KVM's split irqchip and x2APICs, with the full
 * one and xAPICs, or with a PCI device that VFIO has, whose MSIs the IOMMU posts.  Each
 * time one allocation of one ioctl fails.  Whatever the ioctl returns then,
 *
 *   - it works when it is called again, if it has failed;
 *   - the VM can be used: IPIs and the irqfd's or the device's interrupts arrive, once,
 *     and AVIC is on.
 *
 * A VM that fails is printed as the line that makes just this one: the number of the ioctl
 * among all of a VM's, and of the allocation among those of the ioctl.  With IOCTL 0 a VM
 * is made in which nothing fails.
 *
 * What the VMs leave behind is for the caller to look at: faults.
 */

/* In place of xioctl.h's: the ioctls of the VM's making are counted, and one of them fails. */
#define XIOCTL_H
#define _GNU_SOURCE
#include <err.h>
#include <sys/ioctl.h>

static int try_ioctl(int fd, unsigned long request, void *arg, const char *what);

#define xioctl(fd, request, arg) try_ioctl(fd, request, (void *)(long)(arg), #request)

#include <sys/wait.h>

#include "msi_device.h"

#define VECTOR		0x60
#define IPI		0x61
#define TPR_WRITES	4
#define PATIENCE	60	/* seconds, for a VM */
#define MAX_IOCTLS	200
#define MAX_FAULTS	20000
#define TOLD		20	/* so many VMs that fail; of the others only the number is told */

/* How a VM's process ends, beside the status of what it says itself. */
enum { GOOD, WRONG, OVER = 10 };

static bool full;
static int nr, wanted, fault;	/* ioctls up to now; the one of which this allocation is to fail */
static int fail_nth = -1;
/*
 * Opening a device runs methods of ACPI's, whose interpreter crashes later if memory was
 * short, and makes IRQs, of which genirq warns then.  Neither is of KVM's.
 */
static bool leave_alone;
static struct {
	char what[40];		/* the ioctl that was wanted, '' if it didn't come to it */
	bool injected;		/* it has so many allocations */
	int error;		/* its errno */
} *told;	/* by the process of a VM */

static void set_fail_nth(int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fail_nth, text, length, 0) != length)
		err(1, "fail-nth");
}

/* Whether the allocation was there, and has failed. */
static bool has_failed(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 1)
		err(1, "fail-nth");
	set_fail_nth(0);
	return !atoi(text);
}

static int try_ioctl(int fd, unsigned long request, void *arg, const char *what)
{
	int r;

	if (leave_alone || ++nr != wanted) {
		r = ioctl(fd, request, arg);
		if (r < 0)
			err(1, "%s", what);
		return r;
	}
	set_fail_nth(fault);
	r = ioctl(fd, request, arg);
	told->error = r < 0 ? errno : 0;
	told->injected = has_failed();
	snprintf(told->what, sizeof(told->what), "%s", what);
	if (!told->injected) {
		if (r < 0)
			errx(1, "%s: %s, and no allocation has failed", what, strerror(told->error));
		exit(GOOD);
	}
	if (r < 0) {
		r = ioctl(fd, request, arg);
		if (r < 0)
			errx(1, "%s: %s, and called again: %s", what, strerror(told->error), strerror(errno));
	}
	return r;
}

static bool avic_is_on(struct vcpu *vcpu)
{
	int tries, i;

	/* Other things may make it exit as well. */
	for (tries = 0; tries < 5; tries++) {
		int64_t before = exits_of(vcpu);

		for (i = 0; i < TPR_WRITES; i++)
			write_reg(vcpu, TPR, 0);
		if (exits_of(vcpu) - before < TPR_WRITES)
			return true;
	}
	return false;
}

/* Have the device's interrupts go to another eventfd: it is the producer then, if that is an irqfd. */
static void move_msi(int fd)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	struct { struct vfio_irq_set set; int32_t fd; } irqs = {
		.set = {
			.argsz = sizeof(irqs), .count = 1,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
		.fd = fd,
	};

	xioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info);
	irqs.set.index = info.count ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
	xioctl(device, VFIO_DEVICE_SET_IRQS, &irqs);
}

static void route(int vector)
{
	struct {
		struct kvm_irq_routing routing;
		struct kvm_irq_routing_entry entry;
	} table = { { .nr = 1 }, { .gsi = IRQFD_GSI, .type = KVM_IRQ_ROUTING_MSI,
				   .u.msi = { .address_lo = APIC_PAGE | 1 << 12, .data = vector } } };

	xioctl(vm, KVM_SET_GSI_ROUTING, &table);
}

static void live(void)
{
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), i;
	struct kvm_pit_config pit = { 0 };
	struct kind kind;

	alarm(PATIENCE);
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		err(1, "/proc/thread-self/fail-nth");
	new_vm(full);
	add_vcpu(0, 0);
	add_vcpu(1, 1);
	if (full) {
		xioctl(vm, KVM_CREATE_PIT2, &pit);
		xioctl(vm, KVM_REINJECT_CONTROL, &control);
	}
	if (address) {
		kind = kind_of(attribute("class"), attribute("vendor"));
		leave_alone = true;
		open_device(fd);
		leave_alone = false;
	}
	/* The irqfd finds the device's interrupt, then that finds the irqfd. */
	connect_irqfd(&vcpus[1], fd, VECTOR - 1);
	if (address) {
		move_msi(other);
		move_msi(fd);
	}
	route(VECTOR);
	if (nr < wanted)
		exit(OVER);

	/* Whatever it was, the VM is as good as any other. */
	for (i = 0; i < 2; i++)
		start_vcpu(i, !full);
	if (address) {
		kind.start();
		kind.send();
		check(within(vcpus[1].mailbox->taken[VECTOR]), "the device's interrupt is lost");
	} else {
		if (eventfd_write(fd, 1))
			err(1, "eventfd");
		expect(&vcpus[1], VECTOR, 1, "the irqfd");
	}
	for (i = 0; i < 2; i++) {
		send_ipi(&vcpus[!i], vcpus[i].id, ASSERT | IPI);
		expect(&vcpus[i], IPI, 1, "an IPI");
		check(avic_is_on(&vcpus[i]), "vCPU%d: AVIC is off", i);
	}
	exit(GOOD);
}

/* Exit status of a VM in a process of its own, or -SIGNAL. */
static int try(int ioctl_number, int fault_number)
{
	int status;
	pid_t pid;

	memset(told, 0, sizeof(*told));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		wanted = ioctl_number;
		fault = fault_number;
		dup2(1, 2);
		live();
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
	int one = argc > 3 ? atoi(argv[2]) : -1, n, f, status = 0, faults = 0, failed = 0, wrong = 0;
	char what[sizeof(told->what)];

	if ((argc != 2 && argc != 4) || (one > 0 && atoi(argv[3]) < 1))
		errx(2, "usage: inject split|full|DEVICE [IOCTL FAULT]");
	full = !strcmp(argv[1], "full");
	if (!full && strcmp(argv[1], "split"))
		address = argv[1];
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		err(1, "mmap");

	if (one >= 0) {
		status = try(one, atoi(argv[3]));
		printf("%s: %s, %s, status %d\n", told->what, told->injected ? "an allocation failed" : "nothing failed",
		       told->error ? strerror(told->error) : "it went on", status);
		return !!status;
	}
	for (n = 1; n <= MAX_IOCTLS; n++) {
		int of_it = 0, failed_of_it = 0;

		for (f = 1; f <= MAX_FAULTS; f++) {
			status = try(n, f);
			if (status == OVER || (status == GOOD && !told->injected))
				break;
			of_it++;
			failed_of_it += !!told->error;
			memcpy(what, told->what, sizeof(what));
			if (status == GOOD)
				continue;
			if (wrong++ < TOLD) {
				if (status < 0)
					printf("ended by signal %d\n", -status);
				printf("inject %s %d %d # %s: %s\n", argv[1], n, f, what,
				       told->error ? strerror(told->error) : "went on");
			}
			/* Without an allocation that failed each one would end like this. */
			if (!told->injected)
				break;
		}
		if (status == OVER)
			break;
		faults += of_it;
		failed += failed_of_it;
		if (of_it)
			printf("%-32s %5d allocations failed, the ioctl failed %d times\n", what, of_it, failed_of_it);
	}
	printf("%s: %d ioctls, %d allocations failed, %d ioctls failed, %d VMs wrong\n", argv[1], n - 1, faults, failed, wrong);
	return wrong ? 1 : 0;
}
