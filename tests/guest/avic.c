// SPDX-License-Identifier: GPL-2.0
/*
 * avic [[--x2apic] CASE]: what AVIC has to do for a guest, a case at a time.
 *
 * Exits with 0 if the case holds, else with 1 and one line that says what did
 * not.  Lists the cases if none is named.
 */
#include "vm.h"

#define VECTOR		0x40
#define HIGHER		0x60
#define ROUNDS		200

static struct vcpu *const first = &vcpus[0], *const second = &vcpus[1];
static bool x2apic;

/* Two vCPUs that run, and the gate. */
static void two_vcpus(int second_id)
{
	new_vm(false);
	add_vcpu(0, 0);
	add_vcpu(1, second_id);
	add_vcpu(2, 40);
	start_vcpu(0, x2apic);
	start_vcpu(1, x2apic);
}

static uint32_t logical_id(struct vcpu *vcpu)
{
	if (x2apic)
		return vcpu->id / 16 << 16 | 1 << vcpu->id % 16;
	return 1 << vcpu->index;
}

/*
 * The hardware does it all: KVM injects nothing, and nobody exits because of it.
 *
 * And at once: a target whose CPU is not told of the interrupt goes on with its
 * loop until it exits for another reason.  On a busy machine that may happen before
 * it counts as late, hence several tries.  A target that is told at once is never late.
 */
static void expect_accelerated(uint32_t destination, uint32_t low, struct vcpu *target,
			       const char *what)
{
	uint32_t taken = target->mailbox->taken[VECTOR];
	int64_t injections, exits, others;
	int tries;

	/* The first one touches pages that KVM may have to map. */
	send_ipi(first, destination, low | VECTOR);
	expect(target, VECTOR, ++taken, what);

	for (tries = 0; tries < 3; tries++) {
		injections = stat_of(target, "irq_injections");
		exits = exits_of(first);
		others = exits_of(second);
		start_ipis(first, destination, low | VECTOR, target, VECTOR, ROUNDS,
			   target == first ? 0 : 20000);
		finish(first, what);
		taken += ROUNDS;
		expect(target, VECTOR, taken, what);
		injections = stat_of(target, "irq_injections") - injections;
		exits = exits_of(first) - exits;
		others = exits_of(second) - others;

		check(injections < ROUNDS / 10, "%s: KVM injects %ld of %d interrupts", what,
		      injections, ROUNDS);
		check(first->mailbox->late < ROUNDS / 2, "%s: %u of %d interrupts are late",
		      what, first->mailbox->late, ROUNDS);
		/* Without x2AVIC, KVM emulates the MSRs of the x2APIC. */
		check((x2apic && !x2avic) || (exits < ROUNDS / 10 && others < ROUNDS / 10),
		      "%s: %ld and %ld exits for %d interrupts", what, exits, others, ROUNDS);
	}
}

static void self_is_accelerated(const char *what)
{
	expect_accelerated(first->id, ASSERT, first, what);
}

static void ipi_self(void)
{
	two_vcpus(1);
	self_is_accelerated("IPI to itself");
}

static void ipi_running(void)
{
	two_vcpus(1);
	expect_accelerated(second->id, ASSERT, second, "IPI to a running vCPU");
}

static void ipi_logical(void)
{
	two_vcpus(1);
	expect_accelerated(logical_id(second), LOGICAL | ASSERT, second, "logical IPI");
}

static void wake(uint32_t destination, uint32_t low, int times, const char *what)
{
	uint32_t taken = second->mailbox->taken[VECTOR];

	while (times--) {
		halt(second);
		send_ipi(first, destination, low | ASSERT | VECTOR);
		finish(second, what);
		expect(second, VECTOR, ++taken, what);
	}
}

static void ipi_halted(void)
{
	two_vcpus(1);
	wake(second->id, 0, 10, "IPI to a halted vCPU");
}

static void ipi_halted_logical(void)
{
	two_vcpus(1);
	wake(logical_id(second), LOGICAL, 10, "logical IPI to a halted vCPU");
}

static void ipi_halted_others(void)
{
	two_vcpus(1);
	wake(0, OTHERS, 10, "IPI to all others, one of them halted");
}

/* Another cluster than the first one. */
static void ipi_halted_cluster(void)
{
	uint32_t destination = 1 << 16 | 1 << 1;

	two_vcpus(x2apic ? 17 : 1);
	if (!x2apic) {
		write_reg(first, DFR, 0x0fffffff);
		write_reg(second, DFR, 0x0fffffff);
		write_reg(first, LDR, 0x11000000);
		write_reg(second, LDR, 0x21000000);
		destination = 0x21;
	}
	wake(destination, LOGICAL, 10, "IPI to a cluster, halted");
}

/* Halt, wake up, halt, as quickly as it goes: nothing may get lost between. */
static void ipi_halting(void)
{
	two_vcpus(1);
	second->mailbox->times = 1u << 30;
	start(second, HALT);
	start_ipis(first, second->id, ASSERT | VECTOR, second, VECTOR, 500, 0);
	finish(first, "IPIs to a vCPU that goes on halting");
	check(second->mailbox->taken[VECTOR] == 500, "%u of 500 IPIs arrived",
	      second->mailbox->taken[VECTOR]);
}

/* One of the targets does not exist: the other one must get it all the same. */
static void ipi_partly_invalid(void)
{
	two_vcpus(1);
	send_ipi(first, logical_id(second) | 0x80, LOGICAL | ASSERT | VECTOR);
	expect(second, VECTOR, 1, "logical IPI with a target that is not there");
}

static void ipi_nmi(void)
{
	two_vcpus(1);
	send_ipi(first, second->id, NMI | ASSERT);
	expect(second, 2, 1, "NMI by IPI");
}

static void expect_only_new_ldr(void)
{
	send_ipi(first, 2, LOGICAL | ASSERT | VECTOR);
	expect_none(second, VECTOR, "IPI to a logical ID that it no longer has");
	send_ipi(first, 4, LOGICAL | ASSERT | VECTOR);
	expect(second, VECTOR, 1, "IPI to its new logical ID");
	expect_accelerated(4, LOGICAL | ASSERT, second, "IPI to a new logical ID");
}

static void ipi_new_ldr(void)
{
	two_vcpus(1);
	write_reg(second, LDR, 0x04000000);
	expect_only_new_ldr();
}

static void ipi_new_ldr_while_inhibited(void)
{
	two_vcpus(1);
	inhibit(true);
	write_reg(second, LDR, 0x04000000);
	inhibit(false);
	/* KVM corrects the table when this vCPU next enters the guest, not before. */
	read_reg(second, LDR);
	expect_only_new_ldr();
}

/* The logical IDs of the flat model are other ones in the cluster model. */
static void ipi_new_dfr(void)
{
	two_vcpus(1);
	write_reg(second, LDR, 0x20000000);
	write_reg(first, DFR, 0x0fffffff);
	write_reg(second, DFR, 0x0fffffff);
	send_ipi(first, 0x12, LOGICAL | ASSERT | VECTOR);
	expect_none(second, VECTOR, "IPI to a cluster that it is not in");
}

static void ipi_shared_ldr(void)
{
	two_vcpus(1);
	write_reg(first, LDR, 0x02000000);
	send_ipi(first, 2, LOGICAL | ASSERT | VECTOR);
	expect(first, VECTOR, 1, "logical ID of two vCPUs");
	expect(second, VECTOR, 1, "logical ID of two vCPUs");
}

static void ipi_new_id(void)
{
	two_vcpus(1);
	write_reg(second, ID, 0x05000000);
	send_ipi(first, 1, ASSERT | VECTOR);
	expect_none(second, VECTOR, "IPI to an APIC ID that it no longer has");
	send_ipi(first, 5, ASSERT | VECTOR);
	expect(second, VECTOR, 1, "IPI to its new APIC ID");
}

static void register_timer(void)
{
	two_vcpus(1);
	write_reg(first, LVT_TIMER, VECTOR);
	write_reg(first, TIMER_DIVIDE, 0xb);
	write_reg(first, TIMER_COUNT, 1000000);
	expect(first, VECTOR, 1, "timer");
}

/* A read that KVM has to emulate. */
static void register_current_count(void)
{
	uint32_t before, after;

	two_vcpus(1);
	write_reg(first, TIMER_DIVIDE, 0xb);
	write_reg(first, TIMER_COUNT, 0xffffffff);
	before = read_reg(first, TIMER_CURRENT);
	usleep(1000);
	after = read_reg(first, TIMER_CURRENT);
	check(after && after < before, "timer goes from %u to %u", before, after);
}

static void register_tpr(void)
{
	two_vcpus(1);
	write_reg(first, TPR, 0x50);
	send_ipi(first, first->id, ASSERT | VECTOR);
	expect_none(first, VECTOR, "interrupt below the TPR");
	write_reg(first, TPR, 0x30);
	expect(first, VECTOR, 1, "TPR lowered");
}

static void set_tpr(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;

	xioctl(vcpu->fd, KVM_GET_LAPIC, &lapic);
	lapic.regs[TPR] = 0x50;
	xioctl(vcpu->fd, KVM_SET_LAPIC, &lapic);
}

static void register_tpr_from_userspace(void)
{
	two_vcpus(1);
	call(first, set_tpr);
	send_ipi(first, first->id, ASSERT | VECTOR);
	expect_none(first, VECTOR, "interrupt below the TPR that userspace has set");
	write_reg(first, TPR, 0x30);
	expect(first, VECTOR, 1, "TPR lowered");
}

/* The line stays up, so each EOI that KVM sees raises the interrupt again. */
static void register_level_eoi(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irq_level line = { .irq = 16, .level = 1 };

	new_vm(true);
	add_vcpu(0, 0);
	start_vcpu(0, x2apic);
	xioctl(vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.ioapic.redirtbl[16].bits = 1 << 15 | VECTOR;
	xioctl(vm, KVM_SET_IRQCHIP, &chip);
	xioctl(vm, KVM_IRQ_LINE, &line);
	check(within(first->mailbox->taken[VECTOR] >= 3),
	      "level-triggered: %u interrupts, then no more", first->mailbox->taken[VECTOR]);
	line.level = 0;
	xioctl(vm, KVM_IRQ_LINE, &line);
	usleep(100000);
	first->mailbox->taken[VECTOR] = 0;
	expect_none(first, VECTOR, "level-triggered line is down");
}

/* With the page elsewhere, the old address is a device of userspace's. */
static void register_base_moved(void)
{
	two_vcpus(1);
	write_msr(first, MSR_APIC_BASE, APIC_PAGE | 0x10000 | 0x900, 0);
	read_mmio(first, VERSION);
	check(within(first->mmio == (APIC_PAGE | VERSION)),
	      "a read at the local APIC's old address does not come to userspace");
}

static void register_disabled(void)
{
	uint32_t version;

	two_vcpus(1);
	version = read_mmio(first, VERSION);
	write_msr(first, MSR_APIC_BASE, APIC_PAGE | 0x100, 0);
	check(read_mmio(first, VERSION) != version, "a disabled local APIC answers");
}

/* The memory-mapped page is not there in x2APIC mode. */
static void register_no_mmio(void)
{
	two_vcpus(1);
	check(read_mmio(first, VERSION) != read_reg(first, VERSION),
	      "a local APIC in x2APIC mode answers at its page");
}

static void signal_msi(void)
{
	struct kvm_msi msi = {
		.address_lo = APIC_PAGE | second->id << 12,
		.data = VECTOR,
	};

	xioctl(vm, KVM_SIGNAL_MSI, &msi);
}

/*
 * Without an exit: the host's own interrupts make the target exit in some rounds,
 * but if nothing tells its CPU of the interrupt, then it needs an exit in each.
 */
static void msi_running(void)
{
	int i, prompt = 0;

	new_vm(false);
	add_vcpu(1, 1);
	start_vcpu(1, x2apic);
	for (i = 1; i <= 5 * ROUNDS && (i < ROUNDS || prompt < i / 4); i++) {
		uint64_t exits = stat_of(second, "exits");
		struct patience left = patience();

		signal_msi();
		while (second->mailbox->taken[VECTOR] < i)
			check(!usleep(50) && !ended(&left), "MSI %d is lost", i);
		prompt += stat_of(second, "exits") == exits;
	}
	/* Without x2AVIC, each EOI exits. */
	check(prompt >= ROUNDS / 4 || (x2apic && !x2avic),
	      "%d of %d MSIs come without an exit", prompt, i - 1);
}

static void msi_halted(void)
{
	int i;

	new_vm(false);
	add_vcpu(1, 1);
	start_vcpu(1, x2apic);
	for (i = 1; i <= 10; i++) {
		halt(second);
		signal_msi();
		finish(second, "MSI to a halted vCPU");
		expect(second, VECTOR, i, "MSI to a halted vCPU");
	}
}

/* An interrupt that AVIC has accepted is KVM's to deliver from then on. */
static void inhibit_pending(void)
{
	two_vcpus(1);
	inhibit(true);
	send_ipi(first, first->id, ASSERT | VECTOR);
	expect(first, VECTOR, 1, "while inhibited");
	inhibit(false);
	disable_irqs(first);
	send_ipi(first, first->id, ASSERT | VECTOR);
	inhibit(true);
	enable_irqs(first);
	expect(first, VECTOR, 2, "pending when AVIC was inhibited");
}

/* Two interrupts in service when AVIC goes: both EOIs must count. */
static void inhibit_in_service(void)
{
	two_vcpus(1);
	first->mailbox->no_eoi = 1;
	send_ipi(first, first->id, ASSERT | VECTOR);
	expect(first, VECTOR, 1, "first");
	send_ipi(first, first->id, ASSERT | HIGHER);
	expect(first, HIGHER, 1, "second");
	inhibit(true);
	write_reg(first, EOI, 0);
	write_reg(first, EOI, 0);
	first->mailbox->no_eoi = 0;
	/* AVIC goes by the ISR itself, KVM by a count of its bits. */
	inhibit(false);
	send_ipi(first, first->id, ASSERT | VECTOR);
	expect(first, VECTOR, 2, "after both EOIs");
}

/* KVM does what AVIC did, and AVIC does it again afterwards. */
static void inhibit_registers(void)
{
	int i;

	two_vcpus(1);
	for (i = 1; i <= 3; i++) {
		inhibit(true);
		check((read_reg(first, VERSION) & 0xff) == 0x14, "version %#x while inhibited",
		      read_reg(first, VERSION));
		send_ipi(first, first->id, ASSERT | HIGHER);
		expect(first, HIGHER, 2 * i - 1, "to itself while inhibited");
		send_ipi(second, first->id, ASSERT | HIGHER);
		expect(first, HIGHER, 2 * i, "to another one while inhibited");
		inhibit(false);
		self_is_accelerated("after an inhibit");
		expect_accelerated(second->id, ASSERT, second, "to another one after an inhibit");
	}
}

static void inhibit_while_sending(void)
{
	int i;

	two_vcpus(1);
	start_ipis(first, second->id, ASSERT | VECTOR, second, VECTOR, 1 << 30, 0);
	for (i = 0; i < 400; i++) {
		inhibit(!(i & 1));
		usleep(200);
	}
	/* The guest counts down meanwhile and may overwrite this: say it again. */
	if (!within((first->mailbox->times = 1, first->mailbox->op == IDLE)))
		fail("an IPI is lost while AVIC comes and goes");
}

static void queue_extint(struct vcpu *vcpu)
{
	struct kvm_interrupt extint = { .irq = VECTOR };

	xioctl(vcpu->fd, KVM_INTERRUPT, &extint);
}

static void extint_once(void)
{
	two_vcpus(1);
	disable_irqs(first);
	call(first, queue_extint);
	enable_irqs(first);
	expect(first, VECTOR, 1, "ExtINT");
	self_is_accelerated("after an ExtINT");
}

/* HLT is an exit before the window opens, and KVM injects at that. */
static void extint_halting(void)
{
	two_vcpus(1);
	disable_irqs(first);
	call(first, queue_extint);
	first->mailbox->times = 1;
	order(first, HALT, 0, 0, 0, "sti; hlt");
	expect(first, VECTOR, 1, "ExtINT at HLT");
	self_is_accelerated("after an ExtINT at HLT");
}

/* Another reason keeps AVIC off when the window is requested, and then goes. */
static void extint_other_inhibit(void)
{
	two_vcpus(1);
	inhibit(true);
	disable_irqs(first);
	call(first, queue_extint);
	inhibit(false);
	usleep(10000);
	enable_irqs(first);
	expect(first, VECTOR, 1, "ExtINT after another inhibit has gone");
	self_is_accelerated("after an ExtINT and another inhibit");
}

/* The other reason comes while a window is open, and goes after it. */
static void extint_inside_inhibit(void)
{
	two_vcpus(1);
	disable_irqs(first);
	call(first, queue_extint);
	inhibit(true);
	enable_irqs(first);
	expect(first, VECTOR, 1, "ExtINT with another inhibit");
	inhibit(false);
	self_is_accelerated("after an ExtINT in another inhibit");
}

static pthread_barrier_t barrier;

static void queue_extint_at_once(struct vcpu *vcpu)
{
	queue_extint(vcpu);
	pthread_barrier_wait(&barrier);
}

static void *clear_inhibit(void *delay)
{
	double end;

	pin(1);
	pthread_barrier_wait(&barrier);
	end = now() + (long)delay / 1e6;
	while (now() < end)
		;
	inhibit(false);
	return NULL;
}

/* The other reason goes at the very moment at which the window is requested. */
static void extint_race(void)
{
	pthread_t thread;
	long i;

	two_vcpus(1);
	pthread_barrier_init(&barrier, NULL, 2);
	for (i = 1; i <= 100; i++) {
		inhibit(true);
		disable_irqs(first);
		if (pthread_create(&thread, NULL, clear_inhibit, (void *)(i * 4)))
			err(1, "pthread_create");
		call(first, queue_extint_at_once);
		pthread_join(thread, NULL);
		enable_irqs(first);
		check(within(first->mailbox->taken[VECTOR] == i),
		      "ExtINT %ld is lost while another inhibit goes", i);
	}
	self_is_accelerated("after ExtINTs and another inhibit");
}

static void one_vm(void)
{
	int fd = xioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	int vcpu;

	xioctl(fd, KVM_ENABLE_CAP, &split);
	vcpu = xioctl(fd, KVM_CREATE_VCPU, 0);
	close(vcpu);
	close(fd);
}

/* With the pages that each CPU keeps for itself. */
static long free_pages(void)
{
	char line[200];
	long sum = 0, pages;
	FILE *file;

	file = fopen("/proc/sys/vm/stat_refresh", "w");
	if (!file || fputs("1", file) < 0 || fclose(file))
		err(1, "/proc/sys/vm/stat_refresh");
	file = fopen("/proc/zoneinfo", "r");
	if (!file)
		err(1, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %ld", &pages) == 1 ||
		    sscanf(line, " count: %ld", &pages) == 1)
			sum += pages;
	fclose(file);
	return sum;
}

/* More VMs than there are buckets in the list that the GA Log is looked up in. */
static void vms_come_and_go(void)
{
	long before;
	int i;

	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "/dev/kvm");
	for (i = 0; i < 60; i++)
		one_vm();
	usleep(100000);
	before = free_pages();
	for (i = 0; i < 240; i++)
		one_vm();
	usleep(100000);
	before -= free_pages();
	printf("240 VMs took %ld pages\n", before);
	check(before < 200, "240 VMs came and went, and %ld pages with them", before);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "ipi/self", ipi_self },
	{ "ipi/running", ipi_running },
	{ "ipi/logical", ipi_logical },
	{ "ipi/halted", ipi_halted },
	{ "ipi/halted-logical", ipi_halted_logical },
	{ "ipi/halted-others", ipi_halted_others },
	{ "ipi/halted-cluster", ipi_halted_cluster },
	{ "ipi/halting", ipi_halting },
	{ "ipi/partly-invalid", ipi_partly_invalid },
	{ "ipi/nmi", ipi_nmi },
	{ "ipi/new-ldr", ipi_new_ldr },
	{ "ipi/new-ldr-while-inhibited", ipi_new_ldr_while_inhibited },
	{ "ipi/new-dfr", ipi_new_dfr },
	{ "ipi/shared-ldr", ipi_shared_ldr },
	{ "ipi/new-id", ipi_new_id },
	{ "register/timer", register_timer },
	{ "register/current-count", register_current_count },
	{ "register/tpr", register_tpr },
	{ "register/tpr-from-userspace", register_tpr_from_userspace },
	{ "register/level-eoi", register_level_eoi },
	{ "register/base-moved", register_base_moved },
	{ "register/disabled", register_disabled },
	{ "register/no-mmio", register_no_mmio },
	{ "msi/running", msi_running },
	{ "msi/halted", msi_halted },
	{ "inhibit/pending", inhibit_pending },
	{ "inhibit/in-service", inhibit_in_service },
	{ "inhibit/registers", inhibit_registers },
	{ "inhibit/while-sending", inhibit_while_sending },
	{ "extint/once", extint_once },
	{ "extint/halting", extint_halting },
	{ "extint/other-inhibit", extint_other_inhibit },
	{ "extint/inside-inhibit", extint_inside_inhibit },
	{ "extint/race", extint_race },
	{ "vm/come-and-go", vms_come_and_go },
};

int main(int argc, char **argv)
{
	unsigned int i;

	x2apic = argc > 1 && !strcmp(argv[1], "--x2apic");
	if (argc > 2 + x2apic)
		errx(2, "usage: avic [[--x2apic] CASE]");
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (argc == 1 + x2apic) {
			puts(cases[i].name);
		} else if (!strcmp(cases[i].name, argv[argc - 1])) {
			cases[i].run();
			return 0;
		}
	}
	if (argc > 1 + x2apic)
		errx(2, "no case '%s': avic lists them", argv[argc - 1]);
	return 0;
}
