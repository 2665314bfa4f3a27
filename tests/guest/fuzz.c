// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz FIRST LAST STEPS [STEP...]: VMs to which anything may happen in any order.
 *
 * Each number from FIRST to LAST is the seed of a VM and of STEPS steps.  A step is one
 * ioctl, or one KVM_RUN of a vCPU: see steps[].  The vCPUs run in turn, by one thread, so
 * that the same seed does the same again.  Whatever was done,
 *
 *   - each interrupt arrives, once it may; none arrives that nobody sent;
 *   - at the end, when all is taken back, AVIC is on again if it was on at the beginning.
 *
 * A seed that fails is run again with fewer steps, as long as it fails; what is left is
 * printed as the line that runs just these: FIRST = LAST, and the numbers of the STEPs.
 */
#include "in_turn.h"

#include <errno.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

#include "set_cpuid.h"
#include "stats.h"

#define SECONDS		20	/* for one ioctl or so, on a busy machine as well */
#define SHRINK_SECONDS	4	/* the same for a try to leave out steps, which may only hang */
#define SHRINK_END	150	/* seconds, for all of these */
#define RUNS		40	/* of a vCPU that nothing holds back: by then it has all that is due */
#define VCPUS		3
#define MAX_STEPS	1000
#define TRIES		150	/* to leave out steps */
#define SHRUNK		3	/* so many seeds that fail; of the others only the number is told */
#define TOLD		40	/* steps that fit into a line */
#define TPR		0x080
#define EOI		0x0b0
#define ID		0x020
#define ISR		0x100
#define MSR_APIC_BASE	0x1b
#define APIC_ON		0x800
#define X2APIC_ON	0xc00
#define MSR_SINT0	0x40000090
#define SINT_MASKED	(1u << 16)
#define SINT_AUTO_EOI	(1u << 17)
#define APIC_SLOT	5

/* How a VM's process ends; each failure has its own, so that none is shrunk to another one. */
enum { GOOD, WRONG, LOST, TOO_MANY, STAYS_OFF };

/* What a vCPU gets; DATA has a count for each. */
enum { EXTINT, LOW, MIDDLE, HIGH, NON_MASKABLE, KINDS };
static const int vectors[KINDS] = { 0x40, 0x50, 0x61, 0x72, 2 };

/* Write 0 to a register of the APIC, by its page, which fs has, or by its MSR. */
#define WRITE_PAGE(reg)	0x64, 0x66, 0xc7, 0x06, (reg), 0x00, 0x00, 0x00, 0x00, 0x00
#define WRITE_MSR(reg)	0x66, 0xb9, (reg) >> 4, 0x08, 0x00, 0x00,	/* movl $0x800 + (reg >> 4), %ecx */	\
			0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2,		/* xorl %eax, %eax; xorl %edx, %edx */	\
			0x0f, 0x30					/* wrmsr */

/* As in_turn.h's, with writes that exit unless AVIC takes them. */
#define LOOP(write, length)					\
{								\
	0xe6, PORT_OPEN, 0x90, 0x90, 0x90,			\
	write(TPR), write(TPR), write(TPR), write(TPR),		\
	0xfa,				/* cli */		\
	0xe6, PORT_CLOSED, 0xe6, PORT_WAITING,			\
	0xfb, 0x90, 0x90, 0x90,		/* sti */		\
	0xeb, 256 - (5 + TPR_WRITES * (length) + 11),	/* jmp to the beginning */	\
}
#define TPR_WRITES	4
static const unsigned char loop_of_page[] = LOOP(WRITE_PAGE, 10), loop_of_msr[] = LOOP(WRITE_MSR, 14);

/* The end of a handler, which interrupts such writes as well. */
static const unsigned char eoi_of_page[] = { WRITE_PAGE(EOI) };
static const unsigned char eoi_of_msr[] = { 0x66, 0x60, WRITE_MSR(EOI), 0x66, 0x61 };	/* pushal, popal */

struct state {
	struct vcpu vcpu;
	int stats;
	unsigned char taken[KINDS];	/* of the counts in DATA, what was seen */
	int due[KINDS];			/* sent, and not arrived */
	bool may[KINDS];		/* may arrive, or not */
	int since[KINDS];		/* the number of runs when that was said */
	int runs;			/* with nothing that holds interrupts back */
	bool parked, blocked, off, renamed, auto_eoi;
};

struct step {
	unsigned char what, vcpu, a;
};

static struct state states[VCPUS];
static bool renames = true;	/* an APIC that gets its ID back has AVIC again */
static bool full, x2apic, has_pit, slot_there, synic[VCPUS];

static int patience = SECONDS;
static bool *with_avic;		/* seen by the parent, too */

/* Two alike are one, if the first one is not taken yet; but of NMIs one more is kept. */
static void expect(struct state *state, int kind)
{
	if (!state->due[kind])
		state->since[kind] = state->runs;
	else if (kind == NON_MASKABLE)
		state->may[kind] = true;
	state->due[kind] = 1;
}

static void maybe(struct state *state, int kind)
{
	state->may[kind] = true;
	state->since[kind] = state->runs;
}

/* What should have come by now has not, or will not. */
static void look_at_age(struct state *state)
{
	int kind;

	for (kind = 0; kind < KINDS; kind++) {
		if (state->runs - state->since[kind] <= RUNS)
			continue;
		if (state->due[kind])
			errx(LOST, "vCPU %d: an interrupt of kind %d is lost", (int)(state - states), kind);
		if (kind >= LOW && kind <= HIGH)
			state->may[kind] = false;
	}
}

static void run(struct state *state)
{
	struct kvm_run *run = state->vcpu.run;
	unsigned char *counts = memory + DATA(state - states);
	int kind;

	/* An MSR of an APIC that is off is none. */
	if (state->parked || (x2apic && state->off))
		return;
	alarm(patience);
	run->exit_reason = KVM_EXIT_INTR;
	if (ioctl(state->vcpu.fd, KVM_RUN, 0) && errno != EINTR)
		err(1, "KVM_RUN");
	switch (run->exit_reason) {
	case KVM_EXIT_INTR:	/* a kick leaves it as it is */
	case KVM_EXIT_IO:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_MMIO:	/* with the APIC off, to its page */
		break;
	default:
		errx(1, "vCPU %d: exit %u", (int)(state - states), run->exit_reason);
	}
	for (kind = 0; kind < KINDS; kind++) {
		while (state->taken[kind] != counts[kind]) {
			state->taken[kind]++;
			state->since[kind] = state->runs;
			if (state->due[kind])
				state->due[kind]--;
			else if (state->may[kind])
				state->may[kind] = false;
			else
				errx(TOO_MANY, "vCPU %d: an interrupt of kind %d came that nobody sent",
				     (int)(state - states), kind);
		}
	}
	if (state->blocked || state->off || state->renamed || run->request_interrupt_window || run->immediate_exit)
		return;
	state->runs++;
	look_at_age(state);
}

/* The steps.  a is any number. */

static void step_run(struct state *state, int a)
{
	run(state);
}

static void step_extint(struct state *state, int a)
{
	struct kvm_interrupt interrupt = { .irq = vectors[EXTINT] };

	/* One may be waiting; the full irqchip has ExtINTs of its own only. */
	if (ioctl(state->vcpu.fd, KVM_INTERRUPT, &interrupt))
		return;
	if (!state->due[EXTINT]++)
		state->since[EXTINT] = state->runs;
}

static void sent(struct state *state, int kind)
{
	if (state->off || state->renamed)
		maybe(state, kind);
	else
		expect(state, kind);
}

static void step_msi(struct state *state, int a)
{
	int kind = LOW + a % 3;
	struct kvm_msi msi = { .address_lo = APIC_PAGE | (state - states) << 12, .data = vectors[kind] };

	ioctl(vm, KVM_SIGNAL_MSI, &msi);
	sent(state, kind);
}

/* irqfd i goes to vCPU i, with one of the vectors. */
static unsigned char routed[VCPUS];

static struct kvm_irq_routing_entry route(int id)
{
	return msi_to(id, vectors[LOW + routed[id]]);
}

static void step_route(struct state *state, int a)
{
	routed[state - states] = a % 3;
	route_irqs(VCPUS, route);
}

static void step_irqfd(struct state *state, int a)
{
	signal_irqfd(state - states);
	/* The kernel's worker may have to do it. */
	usleep(1000);
	sent(state, LOW + routed[state - states]);
}

static void step_nmi(struct state *state, int a)
{
	xioctl(state->vcpu.fd, KVM_NMI, 0);
	expect(state, NON_MASKABLE);
}

/* Inhibits AVIC of the VM, and holds interrupts back. */
static void block(struct state *state, bool on)
{
	struct kvm_guest_debug debug = { .control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0 };

	if (!ioctl(state->vcpu.fd, KVM_SET_GUEST_DEBUG, &debug))
		state->blocked = on;
}

static void step_block(struct state *state, int a)
{
	block(state, !state->blocked);
}

static void step_ask_for_window(struct state *state, int a)
{
	state->vcpu.run->request_interrupt_window ^= 1;
}

static void step_kick(struct state *state, int a)
{
	state->vcpu.run->immediate_exit = 1;
	run(state);
	state->vcpu.run->immediate_exit = 0;
}

static void park(struct state *state, bool on)
{
	struct kvm_mp_state mp = { on ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE };

	if (!ioctl(state->vcpu.fd, KVM_SET_MP_STATE, &mp))
		state->parked = on;
}

static void step_park(struct state *state, int a)
{
	park(state, !state->parked);
}

static int set_msr(struct state *state, uint32_t index, uint64_t value)
{
	struct { struct kvm_msrs msrs; struct kvm_msr_entry entry; } one = { { .nmsrs = 1 }, { .index = index, .data = value } };

	return ioctl(state->vcpu.fd, KVM_SET_MSRS, &one) == 1 ? 0 : -1;
}

static int set_base(struct state *state, uint64_t mode)
{
	return set_msr(state, MSR_APIC_BASE, APIC_PAGE | mode | (state == states) << 8);
}

static void turn_apic(struct state *state, bool off)
{
	int kind;

	if (set_base(state, off ? 0 : APIC_ON) || (!off && x2apic && set_base(state, X2APIC_ON)))
		return;
	state->off = off;
	for (kind = LOW; kind <= HIGH; kind++) {
		if (state->due[kind])
			maybe(state, kind);
		state->due[kind] = 0;
	}
}

/* An EOI does not reach an APIC that is off, and KVM does not forget what is in service. */
static bool in_service(struct state *state)
{
	struct kvm_lapic_state lapic;
	uint32_t bits, at;

	xioctl(state->vcpu.fd, KVM_GET_LAPIC, &lapic);
	for (at = ISR; at < ISR + 0x80; at += 0x10) {
		memcpy(&bits, &lapic.regs[at], sizeof(bits));
		if (bits)
			return true;
	}
	return false;
}

static void step_apic(struct state *state, int a)
{
	if (state->off || !in_service(state))
		turn_apic(state, !state->off);
}

/* Another ID in the APIC's page. */
static void rename_apic(struct state *state, bool other)
{
	struct kvm_lapic_state lapic;
	uint32_t id = (state - states + 8 * other) << 24;

	xioctl(state->vcpu.fd, KVM_GET_LAPIC, &lapic);
	memcpy(&lapic.regs[ID], &id, sizeof(id));
	if (!ioctl(state->vcpu.fd, KVM_SET_LAPIC, &lapic))
		state->renamed = other;
}

static void step_rename(struct state *state, int a)
{
	if (!state->off && !x2apic && renames)
		rename_apic(state, !state->renamed);
}

static void step_auto_eoi(struct state *state, int a)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC };

	if (!synic[state - states] && ioctl(state->vcpu.fd, KVM_ENABLE_CAP, &cap))
		return;
	synic[state - states] = true;
	state->auto_eoi ^= true;
	set_msr(state, MSR_SINT0, state->auto_eoi ? SINT_AUTO_EOI | 0x80 : SINT_MASKED | 0x80);
}

/* What a migration does: all that was read is written again, and nothing has changed. */
static void step_same_again(struct state *state, int a)
{
	static union { struct kvm_nested_state state; char room[0x4000]; } nested;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	int fd = state->vcpu.fd;

	switch (a % 5) {
	case 0:
		xioctl(fd, KVM_GET_LAPIC, &lapic);
		xioctl(fd, KVM_SET_LAPIC, &lapic);
		break;
	case 1:
		/* An NMI may be told of by KVM, and kept by the CPU. */
		if (state->due[NON_MASKABLE])
			state->may[NON_MASKABLE] = true;
		xioctl(fd, KVM_GET_VCPU_EVENTS, &events);
		xioctl(fd, KVM_SET_VCPU_EVENTS, &events);
		break;
	case 2:
		xioctl(fd, KVM_GET_SREGS, &sregs);
		xioctl(fd, KVM_SET_SREGS, &sregs);
		break;
	case 3:
		xioctl(fd, KVM_GET_MP_STATE, &mp);
		xioctl(fd, KVM_SET_MP_STATE, &mp);
		break;
	default:
		nested.state.size = sizeof(nested);
		if (!ioctl(fd, KVM_GET_NESTED_STATE, &nested))
			ioctl(fd, KVM_SET_NESTED_STATE, &nested);
	}
}

/* An ID that is taken, or that there can't be. */
static void step_wrong_vcpu(struct state *state, int a)
{
	if (ioctl(vm, KVM_CREATE_VCPU, a & 1 ? (long)(state - states) : 1 << 20) >= 0)
		errx(1, "a vCPU of a wrong ID was created");
}

static void step_pit(struct state *state, int a)
{
	struct kvm_reinject_control control = { .pit_reinject = a & 1 };
	struct kvm_pit_config config = { 0 };

	if (!full)
		return;
	if (!has_pit && !ioctl(vm, KVM_CREATE_PIT2, &config))
		has_pit = true;
	else if (has_pit)
		xioctl(vm, KVM_REINJECT_CONTROL, &control);
}

/* Where KVM's own memory for AVIC is. */
static void put_slot(bool there)
{
	struct kvm_userspace_memory_region slot = {
		.slot = APIC_SLOT, .guest_phys_addr = APIC_PAGE, .memory_size = there ? 0x1000 : 0,
		.userspace_addr = (unsigned long)memory,
	};

	if (!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		slot_there = there;
}

static void step_slot(struct state *state, int a)
{
	put_slot(!slot_there);
}

/* The more often a step is here, the more often it is done. */
static const struct {
	const char *name;
	void (*does)(struct state *state, int a);
} steps[] = {
	{ "run", step_run }, { "run", step_run }, { "run", step_run }, { "run", step_run },
	{ "run", step_run }, { "run", step_run }, { "run", step_run }, { "run", step_run },
	{ "extint", step_extint }, { "extint", step_extint }, { "extint", step_extint },
	{ "msi", step_msi }, { "msi", step_msi },
	{ "irqfd", step_irqfd }, { "irqfd", step_irqfd },
	{ "route", step_route },
	{ "nmi", step_nmi },
	{ "block", step_block },
	{ "ask-for-window", step_ask_for_window },
	{ "kick", step_kick },
	{ "park", step_park },
	{ "apic", step_apic },
	{ "rename", step_rename },
	{ "auto-eoi", step_auto_eoi },
	{ "same-again", step_same_again }, { "same-again", step_same_again }, { "same-again", step_same_again },
	{ "wrong-vcpu", step_wrong_vcpu },
	{ "pit", step_pit },
	{ "slot", step_slot },
};
#define NR_STEPS	(sizeof(steps) / sizeof(*steps))

static int draw(uint32_t *random, int below)
{
	*random = *random * 1664525 + 1013904223;
	return (*random >> 16) % below;
}

static struct step draw_step(uint32_t *random)
{
	struct step step;

	step.what = draw(random, NR_STEPS);
	step.vcpu = draw(random, VCPUS);
	step.a = draw(random, 256);
	return step;
}

/* Exits of a vCPU's turn around its loop, which has three of its own. */
static int exits_of_a_loop(struct state *state)
{
	uint64_t exits;
	int i;

	for (i = 0; i < 8 && !(state->vcpu.run->exit_reason == KVM_EXIT_IO && state->vcpu.run->io.port == PORT_OPEN); i++)
		run(state);
	exits = stat_in(state->stats, "exits") - stat_in(state->stats, "irq_exits");
	for (i = 0; i < 3; i++)
		run(state);
	return stat_in(state->stats, "exits") - stat_in(state->stats, "irq_exits") - exits;
}

static bool avic_is_on(struct state *state)
{
	int tries;

	/* The host may stop it in between. */
	for (tries = 0; tries < 5; tries++)
		if (exits_of_a_loop(state) < 3 + TPR_WRITES)
			return true;
	return false;
}

static void handler(int kind)
{
	unsigned char text[32] = { 0xfe, 0x06, kind, 0x00, 0xe6, PORT_TAKEN }; /* incb kind; out %al, $PORT_TAKEN */
	unsigned short entry[] = { HANDLERS + kind * sizeof(text), 0 };
	const unsigned char *eoi = x2apic ? eoi_of_msr : eoi_of_page;
	int length = x2apic ? sizeof(eoi_of_msr) : sizeof(eoi_of_page), used = 6;

	if (kind >= LOW && kind <= HIGH) {
		memcpy(text + used, eoi, length);
		used += length;
	}
	text[used] = 0xcf;	/* iret */
	memcpy(memory + entry[0], text, sizeof(text));
	memcpy(memory + 4 * vectors[kind], entry, sizeof(entry));
}

/* As full and x2apic say. */
static void make_vm(void)
{
	int i;

	new_vm(full);
	if (x2apic)
		memcpy(memory + CODE, loop_of_msr, sizeof(loop_of_msr));
	else
		memcpy(memory + CODE, loop_of_page, sizeof(loop_of_page));
	for (i = 0; i < KINDS; i++)
		handler(i);
	for (i = 0; i < VCPUS; i++) {
		states[i].vcpu = add_vcpu(i);
		states[i].stats = xioctl(states[i].vcpu.fd, KVM_GET_STATS_FD, 0);
		if (!x2apic)
			continue;
		set_cpuid(kvm, states[i].vcpu.fd);
		if (set_base(&states[i], X2APIC_ON))
			errx(1, "no x2APIC");
	}
	connect_irqfds(VCPUS, route);
}

/* Take back all that was done, and see that nothing is missing. */
static void settle(bool avic)
{
	struct kvm_reinject_control control = { .pit_reinject = 0 };
	int i, kind, round;

	if (slot_there)
		put_slot(false);
	if (has_pit)
		xioctl(vm, KVM_REINJECT_CONTROL, &control);
	for (i = 0; i < VCPUS; i++) {
		struct state *state = &states[i];

		state->vcpu.run->request_interrupt_window = 0;
		if (state->auto_eoi)
			step_auto_eoi(state, 0);
		if (state->off)
			turn_apic(state, false);
		if (state->renamed)
			rename_apic(state, false);
		if (state->blocked)
			block(state, false);
		if (state->parked)
			park(state, false);
	}
	for (round = 0; round < RUNS; round++)
		for (i = 0; i < VCPUS; i++)
			run(&states[i]);
	for (i = 0; i < VCPUS; i++)
		for (kind = 0; kind < KINDS; kind++)
			if (states[i].due[kind])
				errx(LOST, "vCPU %d: an interrupt of kind %d is lost", i, kind);
	for (i = 0; avic && i < VCPUS; i++)
		if (!avic_is_on(&states[i]))
			errx(STAYS_OFF, "vCPU %d: AVIC stays off at the end", i);
}

/* What a seed draws first: the kind of VM.  Returns what the steps are drawn from. */
static uint32_t draw_vm(uint32_t seed)
{
	uint32_t random = seed * 2654435761u + 1;

	full = !draw(&random, 4);
	x2apic = !draw(&random, 2);
	return random;
}

/* One VM, with those of the steps that are kept. */
static void live(uint32_t seed, int count, const bool *kept)
{
	uint32_t random = draw_vm(seed);
	bool avic = true;
	int i;

	make_vm();
	for (i = 0; i < VCPUS; i++)
		avic &= avic_is_on(&states[i]);
	*with_avic = avic;
	for (i = 0; i < count; i++) {
		struct step step = draw_step(&random);

		alarm(patience);
		if (kept[i])
			steps[step.what].does(&states[step.vcpu], step.a);
	}
	settle(avic);
	exit(GOOD);
}

/* Exit status of a VM in a process of its own, or -SIGNAL; what it says of a failure is dropped if quiet. */
static int try(uint32_t seed, int count, const bool *kept, bool quiet)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		dup2(quiet ? open("/dev/null", O_WRONLY) : 1, 2);
		live(seed, count, kept);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Leave out what is not needed for it to fail: half of it, a quarter of it, and so on. */
static void shrink(uint32_t seed, int count, bool *kept, int as)
{
	time_t end = time(NULL) + SHRINK_END;
	bool less[MAX_STEPS];
	int size, from, tries = 0;

	patience = SHRINK_SECONDS;
	for (size = count / 2; size; size /= 2) {
		for (from = 0; from < count && tries < TRIES && time(NULL) < end; from += size) {
			memcpy(less, kept, sizeof(less));
			memset(less + from, 0, from + size < count ? size : count - from);
			if (!memcmp(less, kept, sizeof(less)))
				continue;
			tries++;
			if (try(seed, count, less, true) == as)
				memcpy(kept, less, sizeof(less));
		}
	}
	patience = SECONDS;
}

static void tell(uint32_t seed, int count, const bool *kept)
{
	uint32_t random = draw_vm(seed);
	int i, number = 0;

	for (i = 0; i < count; i++)
		number += kept[i];
	if (number > TOLD)
		return;
	printf("fuzz %u %u %d", seed, seed, count);
	for (i = 0; i < count; i++)
		if (kept[i])
			printf(" %d", i);
	printf("\n ");
	for (i = 0; i < count; i++) {
		struct step step = draw_step(&random);

		if (kept[i])
			printf(" %s(%d)", steps[step.what].name, step.vcpu);
	}
	printf("\n");
}

/* Of older kernels a VM never has AVIC again once an APIC had another ID. */
static bool avic_returns_to_a_renamed_apic(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		make_vm();
		if (!avic_is_on(&states[0]))
			exit(0);
		rename_apic(&states[1], true);
		rename_apic(&states[1], false);
		exit(!avic_is_on(&states[0]));
	}
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	uint32_t first = argc > 3 ? atoi(argv[1]) : 0, last = argc > 3 ? atoi(argv[2]) : 0, seed;
	int count = argc > 3 ? atoi(argv[3]) : 0, failures = 0, had_avic = 0, i, status;
	bool kept[MAX_STEPS];

	if (argc < 4 || first < 1 || last < first || count < 1 || count > MAX_STEPS)
		errx(2, "usage: fuzz FIRST LAST STEPS [STEP...]; at most %d steps", MAX_STEPS);
	with_avic = mmap(NULL, sizeof(*with_avic), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (with_avic == MAP_FAILED)
		err(1, "mmap");
	renames = avic_returns_to_a_renamed_apic();
	if (!renames)
		puts("fuzz: no APIC gets another ID: this KVM inhibits AVIC for good then");
	for (seed = first; seed <= last; seed++) {
		memset(kept, argc == 4, sizeof(kept));
		for (i = 4; i < argc; i++)
			if (atoi(argv[i]) >= 0 && atoi(argv[i]) < count)
				kept[atoi(argv[i])] = true;
		*with_avic = false;
		status = try(seed, count, kept, failures >= SHRUNK);
		had_avic += *with_avic;
		if (!status)
			continue;
		if (status < 0)
			printf("fuzz: ended by signal %d\n", -status);
		printf("fuzz %u %u %d\n", seed, seed, count);
		if (++failures <= SHRUNK && argc == 4) {
			shrink(seed, count, kept, status);
			tell(seed, count, kept);
		}
	}
	printf("%u VMs, %d steps each: %d with AVIC, %d failed\n", last - first + 1, count, had_avic, failures);
	return failures ? 1 : 0;
}
