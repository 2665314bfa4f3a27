// SPDX-License-Identifier: GPL-2.0
/*
 * software_irqs SOURCE VCPUS EVENTS: interrupts of a VM for which AVIC is, or may be, off.
 *
 *   pit          of a device, by irqfd, in a VM whose in-kernel PIT reinjects ticks
 *   pit-discard  the same with a PIT that doesn't
 *   xen          Xen's event channels, with the VM-wide upcall vector
 *   xen-msi      of a device, by irqfd, in such a VM, without any upcall
 *   xen-mixed    an upcall with IRQs off, a device's interrupt with IRQs on, and so on
 *   xen-vcpu     event channels, with the vCPUs' own upcall vectors
 *   autoeoi      Hyper-V's SINT with AutoEOI, by irqfd
 *   sint         the same without AutoEOI
 *
 * The vCPUs get EVENTS of them in turn; every second one of each finds IRQs off.
 * Each must arrive.  tests/guest/counts counts what KVM does for them.
 */
#include "in_turn.h"

#include "counted.h"

#define VECTOR		0x50
#define DEVICE_VECTOR	0x60
#define PORT		1	/* the event channel of vCPU 0 */
#define SHARED_INFO	0x4000
#define PENDING		0x800	/* in the shared info of a 32-bit guest */
#define SELECTED	4	/* in a vCPU's info */
#define MSR_SINT0	0x40000090
#define AUTO_EOI	(1u << 17)
#define WARM_UP		4	/* of each vCPU */

static const char *source;
static struct vcpu vcpus[MAX_VCPUS];
static int number;

static bool is(const char *name)
{
	return !strcmp(source, name);
}

static bool begins(const char *name)
{
	return !strncmp(source, name, strlen(name));
}

static struct kvm_irq_routing_entry route(int id)
{
	struct kvm_irq_routing_entry entry = { .gsi = GSI(id), .type = KVM_IRQ_ROUTING_HV_SINT };

	if (begins("pit"))
		return msi_to(id, VECTOR);
	if (begins("xen"))
		return msi_to(id, DEVICE_VECTOR);
	entry.u.hv_sint.vcpu = id;
	return entry;
}

static void set_up_pit(void)
{
	struct kvm_reinject_control discard = {};
	struct kvm_pit_config config = {};

	xioctl(vm, KVM_CREATE_PIT2, &config);
	if (is("pit-discard"))
		xioctl(vm, KVM_REINJECT_CONTROL, &discard);
	handle(VECTOR, HANDLER_EOI);
}

static void set_up_xen(void)
{
	struct kvm_xen_hvm_config config = {
		.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
		.msr = 0x40000200,
	};
	struct kvm_xen_hvm_attr shared = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
		.u.shared_info.gfn = SHARED_INFO >> 12,
	};
	struct kvm_xen_hvm_attr upcall = {
		.type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR,
		.u.vector = VECTOR,
	};
	int i;

	xioctl(vm, KVM_XEN_HVM_CONFIG, &config);
	xioctl(vm, KVM_XEN_HVM_SET_ATTR, &shared);
	if (!is("xen-vcpu"))
		xioctl(vm, KVM_XEN_HVM_SET_ATTR, &upcall);
	for (i = 0; i < number; i++) {
		struct kvm_xen_vcpu_attr info = {
			.type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
			.u.gpa = DATA(i),
		};
		struct kvm_xen_vcpu_attr vector = {
			.type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
			.u.vector = VECTOR,
		};

		xioctl(vcpus[i].fd, KVM_XEN_VCPU_SET_ATTR, &info);
		if (is("xen-vcpu"))
			xioctl(vcpus[i].fd, KVM_XEN_VCPU_SET_ATTR, &vector);
	}
	handle(VECTOR, is("xen-vcpu") ? HANDLER_BOTH : HANDLER_CLEAR);
	handle(DEVICE_VECTOR, HANDLER_EOI);
}

static void set_up_hyperv(void)
{
	struct kvm_enable_cap synic = { .cap = KVM_CAP_HYPERV_SYNIC };
	struct {
		struct kvm_msrs msrs;
		struct kvm_msr_entry entry;
	} sint = { { .nmsrs = 1 }, { .index = MSR_SINT0, .data = VECTOR | (is("autoeoi") ? AUTO_EOI : 0) } };
	int i;

	for (i = 0; i < number; i++) {
		xioctl(vcpus[i].fd, KVM_ENABLE_CAP, &synic);
		if (xioctl(vcpus[i].fd, KVM_SET_MSRS, &sint) != 1)
			errx(1, "KVM does not take the SINT");
	}
	handle(VECTOR, is("autoeoi") ? HANDLER_PLAIN : HANDLER_EOI);
}

static void send(int to, bool first)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = PORT + to,
		.vcpu = to,
		.priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL,
	};

	if (begins("xen") && !is("xen-msi") && (first || !is("xen-mixed"))) {
		/* The guest has handled the last one, but for what it need not tell KVM. */
		memset(memory + SHARED_INFO + PENDING, 0, 4);
		memset(memory + DATA(to) + SELECTED, 0, 4);
		xioctl(vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
	} else {
		signal_irqfd(to);
	}
}

/* Two interrupts, one with IRQs off and one with IRQs on; returns how many have arrived. */
static int two(int to)
{
	struct vcpu *vcpu = &vcpus[to];

	run_to(vcpu, PORT_CLOSED);
	send(to, true);
	run_to(vcpu, PORT_WAITING);
	if (!arrives(vcpu))
		return 0;
	run_to(vcpu, PORT_OPEN);
	send(to, false);
	return 1 + arrives(vcpu);
}

static int deliver(int events)
{
	int sent, arrived, all = 0;

	for (sent = 0; sent < events; sent += 2) {
		arrived = two(sent / 2 % number);
		all += arrived;
		if (arrived < 2)
			break;
	}
	return all;
}

int main(int argc, char **argv)
{
	int events = argc == 4 ? atoi(argv[3]) : 0;
	int i, arrived;

	number = argc == 4 ? atoi(argv[2]) : 0;
	if (number < 1 || number > MAX_VCPUS || events < 1 || events % 2)
		errx(2, "usage: software_irqs SOURCE VCPUS EVENTS, with at most %d", MAX_VCPUS);
	source = argv[1];
	new_vm(begins("pit"));
	for (i = 0; i < number; i++)
		vcpus[i] = add_vcpu(i);
	if (begins("pit"))
		set_up_pit();
	else if (begins("xen"))
		set_up_xen();
	else
		set_up_hyperv();
	connect_irqfds(number, route);

	for (i = 0; i < number; i++)
		run_to(&vcpus[i], PORT_OPEN);
	if (deliver(WARM_UP * number) != WARM_UP * number)
		errx(1, "an interrupt is lost before anything is counted");
	mark("begin");
	arrived = deliver(events);
	mark("end");
	printf("%d of %d interrupts arrived\n", arrived, events);
	return arrived != events;
}
