// SPDX-License-Identifier: GPL-2.0
/*
 * common_path SOURCE TARGET APIC EVENTS: what AVIC is there for.
 *
 *   SOURCE  ipi: vCPU 0 sends them to vCPU 1; msi: KVM_SIGNAL_MSI; irqfd: of a device;
 *           tpr: no interrupts, but so many writes of the TPR by vCPU 1
 *   TARGET  running, or halted: vCPU 1 is in HLT when each of the interrupts comes
 *   APIC    xapic or x2apic
 *
 * Each must arrive.  tests/guest/counts counts what KVM does for them.
 */
#include "vm.h"

#include <sys/eventfd.h>

#include "counted.h"

#define VECTOR		0x40
#define WARM_UP		10
#define PATIENCE	100000	/* for the target to have ended its handler */

/* Without a limit of its own, as a busy machine may stand still for seconds; the test has one. */
#define until(condition) do { while (!(condition)) usleep(500); } while (0)

static struct vcpu *const sender = &vcpus[0], *const target = &vcpus[1];
static const char *source;
static bool halted;
static int irqfd_fd;

/* Only a migration thread may take its CPU away, so that it runs if it is said to. */
static void in_thread(struct vcpu *vcpu)
{
	struct sched_param first = { .sched_priority = 1 };

	(void)vcpu;
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		err(1, "SCHED_FIFO");
}

static void send_one(void)
{
	struct kvm_msi msi = { .address_lo = APIC_PAGE | 1 << 12, .data = VECTOR };

	if (!strcmp(source, "ipi")) {
		start_ipis(sender, target->id, ASSERT | VECTOR, target, VECTOR, 1, 0);
		until(sender->mailbox->op == IDLE);
	} else if (!strcmp(source, "msi")) {
		xioctl(vm, KVM_SIGNAL_MSI, &msi);
	} else if (eventfd_write(irqfd_fd, 1)) {
		err(1, "irqfd");
	}
}

/* The handler may not have come to its EOI yet. */
static void is_handled(void)
{
	uint32_t turns = target->mailbox->turns;

	until(target->mailbox->turns != turns);
}

static void one(void)
{
	uint32_t taken = target->mailbox->taken[VECTOR];

	if (!strcmp(source, "tpr")) {
		write_reg(target, TPR, 0x10);
		return;
	}
	if (halted) {
		target->mailbox->times = 1;
		start(target, HALT);
		until(thread_state(target) == 'S');
	}
	send_one();
	until(target->mailbox->taken[VECTOR] != taken);
	is_handled();
	if (halted)
		until(target->mailbox->op == IDLE);
}

int main(int argc, char **argv)
{
	struct kvm_enable_cap no_polling = { .cap = KVM_CAP_HALT_POLL };
	int events = argc == 5 ? atoi(argv[4]) : 0;
	bool x2apic;
	int i;

	if (events < 1)
		errx(2, "usage: common_path ipi|msi|irqfd|tpr running|halted xapic|x2apic EVENTS");
	source = argv[1];
	halted = !strcmp(argv[2], "halted");
	x2apic = !strcmp(argv[3], "x2apic");

	new_vm(false);
	/* Or a halted vCPU would run for a while. */
	xioctl(vm, KVM_ENABLE_CAP, &no_polling);
	add_vcpu(0, 0);
	add_vcpu(1, 1);
	/* Otherwise its CPU is for this thread alone. */
	if (!strcmp(source, "ipi"))
		start_vcpu(0, x2apic);
	start_vcpu(1, x2apic);
	irqfd_fd = eventfd(0, 0);
	connect_irqfd(target, irqfd_fd, VECTOR);
	call(target, in_thread);

	for (i = 0; i < WARM_UP; i++)
		one();
	mark("begin");
	if (!strcmp(source, "ipi") && !halted) {
		/* The guest sends the next one by itself. */
		start_ipis(sender, target->id, ASSERT | VECTOR, target, VECTOR, events, PATIENCE);
		until(sender->mailbox->op == IDLE);
		is_handled();
		i += events;
	} else {
		for (; i < WARM_UP + events; i++)
			one();
	}
	mark("end");
	if (strcmp(source, "tpr"))
		i = target->mailbox->taken[VECTOR];
	printf("%d of %d events arrived\n", i - WARM_UP, events);
	return i - WARM_UP != events;
}
