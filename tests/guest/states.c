// SPDX-License-Identifier: GPL-2.0
/*
 * VMs in a known state, held for avic-status to look at.
 *
 * states STATE: makes it, says "ready", and stays until it is killed.  A state that
 * changes something while somebody watches waits for a line first, and then says "done".
 * Without an argument: lists them.
 */
#include "vm.h"
#include "vfio_device.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define VECTOR		0x40
#define SELF_IPIS	50
#define SVR_WRITES	30
#define WAKEUPS		20
#define POSTED		15
#define OTHER_TYPES	20
#define INIT_DEASSERT	0x8500	/* which local APICs ignore by now */
#define LOG_ENTRIES	512	/* of the driver's GA Log */
#define EDU_RAISE	(0x60 / 4)
#define EDU_TAKEN	(0x64 / 4)
#define MSR_SINT0	0x40000090
#define SINT_AUTO_EOI	(1u << 17)

static struct vcpu *const first = &vcpus[0], *const second = &vcpus[1];

static void two_vcpus(bool full_irqchip, bool x2apic)
{
	new_vm(full_irqchip);
	add_vcpu(0, 0);
	add_vcpu(1, 1);
	start_vcpu(0, x2apic);
	start_vcpu(1, x2apic);
}

static void on(void)
{
	two_vcpus(false, false);
}

static void on_x2apic(void)
{
	two_vcpus(false, true);
}

static void pit(void)
{
	struct kvm_pit_config config = {};

	new_vm(true);
	xioctl(vm, KVM_CREATE_PIT2, &config);
	add_vcpu(0, 0);
	start_vcpu(0, false);
}

static void pit_discard(void)
{
	struct kvm_reinject_control control = {};

	pit();
	xioctl(vm, KVM_REINJECT_CONTROL, &control);
}

static void blockirq(void)
{
	two_vcpus(false, false);
	add_vcpu(MAX_VCPUS - 1, 2);
	inhibit(true);
}

static void queue_extint(struct vcpu *vcpu)
{
	struct kvm_interrupt extint = { .irq = VECTOR };

	xioctl(vcpu->fd, KVM_INTERRUPT, &extint);
}

/* The vCPU goes on with IRQs off, and KVM waits for them to be on. */
static void window(void)
{
	two_vcpus(false, false);
	disable_irqs(first);
	call(first, queue_extint);
	read_mmio(first, VERSION);
}

static void id_modified(void)
{
	two_vcpus(false, false);
	write_mmio(first, ID, 5u << 24);
	/* KVM looks at it at the next entry. */
	usleep(100000);
}

/* In xAPIC mode both are 0, and so are their logical IDs one. */
static void id_shared(void)
{
	new_vm(false);
	add_vcpu(0, 0);
	add_vcpu(1, 256);
	start_vcpu(0, false);
	start_vcpu(1, false);
}

/* KVM sets the inhibit once more, though it is there. */
static void modify_again(void)
{
	write_mmio(first, ID, 6u << 24);
	usleep(100000);
}

static void base_moved(void)
{
	two_vcpus(false, false);
	write_msr(first, MSR_APIC_BASE, APIC_PAGE | 0x10000 | 0x900, 0);
}

static void ldr_shared(void)
{
	two_vcpus(false, false);
	write_mmio(first, LDR, 0x02000000);
	usleep(100000);
}

static void auto_eoi(void)
{
	struct kvm_enable_cap synic = { .cap = KVM_CAP_HYPERV_SYNIC };
	struct {
		struct kvm_msrs msrs;
		struct kvm_msr_entry entry;
	} sint = { { .nmsrs = 1 }, { .index = MSR_SINT0, .data = VECTOR | SINT_AUTO_EOI } };

	new_vm(false);
	add_vcpu(0, 0);
	xioctl(first->fd, KVM_ENABLE_CAP, &synic);
	check(xioctl(first->fd, KVM_SET_MSRS, &sint) == 1, "KVM does not take the SINT");
	start_vcpu(0, false);
}

static void xen(void)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = VECTOR };

	two_vcpus(false, false);
	xioctl(vm, KVM_XEN_HVM_SET_ATTR, &attr);
}

/* Older kernels refuse it. */
static void id_too_big(void)
{
	two_vcpus(false, false);
	if (ioctl(vm, KVM_CREATE_VCPU, 600) < 0)
		warn("KVM_CREATE_VCPU 600");
}

static void no_irqchip(void)
{
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = xioctl(kvm, KVM_CREATE_VM, 0);
	xioctl(vm, KVM_CREATE_VCPU, 0);
}

/* What a migrated vCPU gets that was in a guest of its guest.  It never runs here. */
static void nested(void)
{
	static struct {
		struct kvm_nested_state state;
		unsigned char vmcb[KVM_STATE_NESTED_SVM_VMCB_SIZE];
	} all;
	unsigned char *vmcb = all.vmcb;
	struct kvm_sregs sregs;

	two_vcpus(false, false);
	add_vcpu(2, 2);
	xioctl(vcpus[2].fd, KVM_GET_SREGS, &sregs);
	sregs.efer |= 1 << 12; /* SVME */
	xioctl(vcpus[2].fd, KVM_SET_SREGS, &sregs);

	all.state.format = KVM_STATE_NESTED_FORMAT_SVM;
	all.state.flags = KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | KVM_STATE_NESTED_GIF_SET;
	all.state.size = sizeof(all);
	all.state.hdr.svm.vmcb_pa = 0x4000;
	/* Controls: VMRUN is intercepted, an ASID.  Saved: L1's CR0, EFER, RFLAGS, DR6, DR7. */
	*(uint32_t *)(vmcb + 0x10) = 1;
	*(uint32_t *)(vmcb + 0x58) = 1;
	*(uint64_t *)(vmcb + 0x400 + 0xd0) = 1 << 12;
	*(uint64_t *)(vmcb + 0x400 + 0x158) = 1u << 31 | 1;
	*(uint64_t *)(vmcb + 0x400 + 0x160) = 0x400;
	*(uint64_t *)(vmcb + 0x400 + 0x168) = 0xffff0ff0;
	*(uint64_t *)(vmcb + 0x400 + 0x170) = 2;
	xioctl(vcpus[2].fd, KVM_SET_NESTED_STATE, &all);
}

static void with_gate(void)
{
	two_vcpus(false, false);
	add_vcpu(MAX_VCPUS - 1, 2);
}

/* Files that are named as KVM's, and that anybody can make. */
static void decoys(void)
{
	if (open("/tmp/kvm-vm", O_CREAT | O_RDWR, 0600) < 0 || open("/tmp/kvm-vcpu:0", O_CREAT | O_RDWR, 0600) < 0)
		err(1, "files in /tmp");
	two_vcpus(false, false);
}

static void apic_off(void)
{
	two_vcpus(false, false);
	write_msr(first, MSR_APIC_BASE, APIC_PAGE | 0x100, 0);
	usleep(100000);
}

/* The second one has a PIT, and no vCPU. */
static void two_vms(void)
{
	struct kvm_pit_config config = {};
	int other;

	two_vcpus(false, false);
	add_vcpu(MAX_VCPUS - 1, 2);
	other = xioctl(kvm, KVM_CREATE_VM, 0);
	xioctl(other, KVM_CREATE_IRQCHIP, 0);
	xioctl(other, KVM_CREATE_PIT2, &config);
}

/* As fork(); the child ends with its parent. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	if (!pid && prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "PR_SET_PDEATHSIG");
	return pid;
}

/* One VM after the other, in many processes. */
static void come_and_go(void)
{
	int i;

	for (i = 0; i < 2; i++)
		if (!fork_child())
			for (;;) {
				if (!fork_child()) {
					two_vcpus(false, false);
					_exit(0);
				}
				wait(NULL);
			}
	usleep(300000);
}

static volatile uint32_t *edu;

/*
 * QEMU's edu device, whose interrupts VFIO has KVM post to the second vCPU.  GROUP and DEVICE
 * say where it is.
 */
static void posted(void)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct {
		struct vfio_irq_set set;
		int fd;
	} irqs = { .set = { .argsz = sizeof(irqs), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			    .index = VFIO_PCI_MSI_IRQ_INDEX, .count = 1 } };
	uint16_t command = 0x6; /* memory, bus master */
	int container, device;
	char path[64];

	if (!getenv("GROUP") || !getenv("DEVICE"))
		errx(1, "no device is given to VFIO");
	two_vcpus(false, false);
	snprintf(path, sizeof(path), "/dev/vfio/%s", getenv("GROUP"));
	device = vfio_device(path, getenv("DEVICE"), &container);
	xioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar);
	xioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config);
	if (pwrite(device, &command, sizeof(command), config.offset + 4) != sizeof(command))
		err(1, "the device's command register");
	edu = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, bar.offset);
	if (edu == MAP_FAILED)
		err(1, "the device's registers");

	irqs.fd = eventfd(0, 0);
	xioctl(device, VFIO_DEVICE_SET_IRQS, &irqs);
	connect_irqfd(second, irqs.fd, VECTOR);
}

/* Each finds the vCPU blocked, so that the IOMMU has to log it. */
static void post(void)
{
	int i;

	for (i = 1; i <= POSTED; i++) {
		halt(second);
		edu[EDU_RAISE] = 1;
		edu[EDU_TAKEN] = 1;
		finish(second, "an interrupt of the device");
		expect(second, VECTOR, i, "an interrupt of the device");
	}
}

/*
 * The vCPU is blocked, and its TPR holds back the interrupts, so that each is logged.
 * Nobody reads the log while its thread's CPU is kept busy; which one that is, isn't known.
 */
static void overflow(void)
{
	struct sched_param most = { .sched_priority = 99 }, none = { 0 };
	int cpu, i;

	write_reg(second, TPR, 0xf0);
	halt(second);
	for (cpu = 0; cpu < 2; cpu++) {
		pin(cpu);
		if (sched_setscheduler(0, SCHED_FIFO, &most))
			err(1, "SCHED_FIFO");
		for (i = 0; i < 2 * LOG_ENTRIES; i++) {
			edu[EDU_RAISE] = 1;
			edu[EDU_TAKEN] = 1;
		}
		if (sched_setscheduler(0, SCHED_OTHER, &none))
			err(1, "SCHED_OTHER");
		/* For the log's thread, and for the driver to start the log again. */
		sleep(2);
	}
}

static void inhibit_now(void)
{
	inhibit(true);
}

static void inhibit_again(void)
{
	inhibit(false);
	inhibit(true);
	inhibit(false);
	inhibit(true);
}

/*
 * So many emulated accesses with AVIC off, then so many exits with AVIC on.  Of IPIs that are
 * not of the fixed type KVM does not write the ICR once more: they are none that AVIC spares.
 */
static void count(void)
{
	int i;

	inhibit(true);
	for (i = 1; i <= SELF_IPIS; i++) {
		send_ipi(first, first->id, ASSERT | VECTOR);
		expect(first, VECTOR, i, "IPI to itself");
	}
	inhibit(false);
	for (i = 0; i < SVR_WRITES; i++)
		write_mmio(first, SPIV, 0x1ff);
	for (i = 0; i < OTHER_TYPES; i++)
		write_mmio(first, ICR, INIT_DEASSERT);
	for (i = 1; i <= WAKEUPS; i++) {
		halt(second);
		send_ipi(first, second->id, ASSERT | VECTOR);
		finish(second, "IPI to a halted vCPU");
	}
}

static const struct {
	const char *name;
	void (*set_up)(void);
	void (*act)(void);
} states[] = {
	{ "on", on },
	{ "on-x2apic", on_x2apic },
	{ "pit", pit },
	{ "pit-discard", pit_discard },
	{ "blockirq", blockirq },
	{ "window", window },
	{ "id-modified", id_modified },
	{ "id-shared", id_shared },
	{ "base-moved", base_moved },
	{ "ldr-shared", ldr_shared },
	{ "auto-eoi", auto_eoi },
	{ "xen", xen },
	{ "id-too-big", id_too_big },
	{ "no-irqchip", no_irqchip },
	{ "nested", nested },
	{ "decoys", decoys },
	{ "apic-off", apic_off },
	{ "two-vms", two_vms, inhibit_now },
	{ "come-and-go", come_and_go },
	{ "posted", posted, post },
	{ "ga-log-overflow", posted, overflow },
	{ "inhibited-while-watched", with_gate, inhibit_now },
	{ "inhibited-again", blockirq, inhibit_again },
	{ "modified-again", id_modified, modify_again },
	{ "counts", with_gate, count },
};

int main(int argc, char **argv)
{
	unsigned int i;

	setlinebuf(stdout);
	for (i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (argc == 1) {
			puts(states[i].name);
		} else if (!strcmp(states[i].name, argv[1])) {
			states[i].set_up();
			puts("ready");
			if (states[i].act) {
				getchar();
				states[i].act();
				puts("done");
			}
			for (;;)
				pause();
		}
	}
	if (argc > 1)
		errx(2, "no state '%s': states lists them", argv[1]);
	return 0;
}
