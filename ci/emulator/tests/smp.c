// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several processors: doorbells (APM 15.29.8.2), running and halted targets,
 * IPIs between guests, and that none is lost. Needs four processors.
 */
#include "lib.h"

#define VECTOR 0xa5

TEST(processors)
{
	CHECK("number", nr_cpus() >= 4, 1);
}

TEST(irr_needs_a_doorbell)
{
	struct vcpu *v = start_guest(1, guest_spin, false);

	CHECK("runs", WAIT(up[1]), 1);
	vector_set(v, APIC_IRR, VECTOR);
	delay();
	CHECK("without it", v->nr_irqs, 0);
	write_msr(MSR_DOORBELL, 1);
	CHECK("with it", WAIT(v->nr_irqs == 1), 1);
	CHECK("vector", v->irqs[0], VECTOR);
	finish(v);
}

TEST(doorbell_reaches_one_processor)
{
	struct vcpu *v1 = start_guest(1, guest_spin, false);
	struct vcpu *v2 = start_guest(2, guest_spin, false);

	CHECK("run", WAIT(up[1] && up[2]), 1);
	vector_set(v1, APIC_IRR, VECTOR);
	vector_set(v2, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 2);
	CHECK("target", WAIT(v2->nr_irqs == 1), 1);
	delay();
	CHECK("the other", v1->nr_irqs, 0);
	finish(v1);
	finish(v2);
}

TEST(doorbell_with_empty_irr)
{
	struct vcpu *v = start_guest(1, guest_halt, false);

	CHECK("runs", WAIT(up[1]), 1);
	for (int i = 0; i < 100; i++)
		write_msr(MSR_DOORBELL, 1);
	delay();
	CHECK("interrupts", v->nr_irqs, 0);
	finish(v);
}

TEST(doorbell_wakes_a_halted_guest)
{
	struct vcpu *v = start_guest(1, guest_halt, false);

	CHECK("runs", WAIT(up[1]), 1);
	for (u32 i = 1; i <= 100; i++) {
		vector_set(v, APIC_IRR, VECTOR);
		write_msr(MSR_DOORBELL, 1);
		CHECK("interrupts", WAIT(v->nr_irqs == i), 1);
	}
	finish(v);
}

/* One whose priority is too low does not */
static volatile u32 wakes;

static void guest_halt_masked(u64 id)
{
	apic_write(APIC_TPR, 0x90);
	up[id] = true;
	while (!stop) {
		asm volatile("sti; hlt; cli" ::: "memory");
		wakes++;
		apic_write(APIC_TPR, 0);
	}
}

TEST(masked_vector_does_not_wake)
{
	struct vcpu *v = start_guest(1, guest_halt_masked, false);

	wakes = 0;
	CHECK("runs", WAIT(up[1]), 1);
	vector_set(v, APIC_IRR, 0x81);
	write_msr(MSR_DOORBELL, 1);
	delay();
	CHECK("wakes", wakes, 0);
	CHECK("interrupts", v->nr_irqs, 0);
	vector_set(v, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 1);
	CHECK("then both", WAIT(v->nr_irqs == 2), 1);
	CHECK("1st", v->irqs[0], VECTOR);
	CHECK("2nd", v->irqs[1], 0x81);
	finish(v);
}

/* A guest that halts with IF=0 stays asleep until the host kicks it */
static void guest_halt_if0(u64 id)
{
	up[id] = true;
	asm volatile("cli; hlt" ::: "memory");
}

static void run_guest_if1(void *arg)
{
	run_if1(arg);
}

TEST(physical_interrupt_ends_halt)
{
	struct vcpu *v = vcpu_init(1, guest_halt_if0, 1);

	up[1] = false;
	set32(v, V_INTERCEPT1, get32(v, V_INTERCEPT1) & ~INTERCEPT_HLT);
	start_on(1, run_guest_if1, v);
	CHECK("runs", WAIT(up[1]), 1);
	vector_set(v, APIC_IRR, VECTOR);
	write_msr(MSR_DOORBELL, 1);
	delay();
	CHECK("virtual interrupts", v->nr_irqs, 0);
	apic_write(APIC_ICR2, 1 << 24);
	apic_write(APIC_ICR, 0x55);
	wait_for(1);
	CHECK("exit", get64(v, V_EXIT_CODE), EXIT_INTR);
}

/* IPIs: the sender is vCPU 0 here, or others */

static u32 icr_low, icr_high;

static void guest_send(u64 arg)
{
	(void)arg;
	apic_write(APIC_ICR2, icr_high);
	apic_write(APIC_ICR, icr_low);
}

static void send_to_halted(u32 low, u32 high, const char *what)
{
	struct vcpu *v = start_guest(1, guest_halt, false);

	CHECK("runs", WAIT(up[1]), 1);
	vcpu_init(0, guest_send, 0);
	icr_low = low | VECTOR;
	icr_high = high;
	CHECK(what, run(&vcpus[0]), EXIT_VMMCALL);
	CHECK(what, WAIT(v->nr_irqs == 1), 1);
	CHECK(what, v->irqs[0], VECTOR);
	finish(v);
}

TEST(ipi_to_a_halted_guest)
{
	for (unsigned i = 2; i < NR_VCPUS; i++)
		physical_table[i] = 0;
	send_to_halted(0, 1 << 24, "physical");
	send_to_halted(ICR_LOGICAL, 2 << 24, "logical");
	send_to_halted(ICR_OTHERS, 0, "others");
}

/* Two guests answer each other's IPIs; a lost one ends it */
#define ROUNDS 5000

static volatile u32 balls[NR_VCPUS];

static void ping_pong(u64 id, void (*send)(u64 dest))
{
	u64 other = id ^ 3;
	struct vcpu *v = &vcpus[id];

	up[id] = true;
	while (!up[other])
		pause();
	for (u32 i = 1; i <= ROUNDS; i++) {
		if (id == 1)
			send(other);
		for (;;) {
			cli();
			if (v->nr_irqs >= i)
				break;
			asm volatile("sti; hlt" ::: "memory");
		}
		sti();
		balls[id] = i;
		if (id == 2)
			send(other);
	}
}

static void send_xapic(u64 dest)
{
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, VECTOR);
}

static void send_x2apic(u64 dest)
{
	write_msr(0x830, dest << 32 | VECTOR);
}

static void guest_ping_pong(u64 id)
{
	ping_pong(id, send_xapic);
}

static void guest_ping_pong_x2(u64 id)
{
	ping_pong(id, send_x2apic);
}

static void check_ping_pong(bool x2avic)
{
	void (*fn)(u64) = x2avic ? guest_ping_pong_x2 : guest_ping_pong;

	up[1] = up[2] = false;
	start_guest(1, fn, x2avic);
	start_guest(2, fn, x2avic);
	for (int i = 0; i < 10 && balls[1] != ROUNDS; i++)
		if (WAIT(balls[1] == ROUNDS))
			break;
	CHECK("rounds", balls[1], ROUNDS);
	wait_for(1);
	wait_for(2);
	CHECK("exit", get64(&vcpus[1], V_EXIT_CODE), EXIT_VMMCALL);
	CHECK("exit", get64(&vcpus[2], V_EXIT_CODE), EXIT_VMMCALL);
	CHECK("interrupts", vcpus[1].nr_irqs, ROUNDS);
	CHECK("interrupts", vcpus[2].nr_irqs, ROUNDS);
}

TEST(ping_pong)
{
	check_ping_pong(false);
}

TEST(ping_pong_x2avic)
{
	balls[1] = balls[2] = 0;
	check_ping_pong(true);
}

/*
 * A hypervisor's protocol: the target's processor clears IsRunning, then looks
 * at the IRR and goes back into the guest or not; the sender exits when it
 * finds IsRunning clear. With the IRR set before IsRunning is read, one of the
 * two always sees the interrupt.
 */
static volatile u32 to_handle, handled, kicks, sleeps;

static void guest_hlt_once(u64 id)
{
	for (;;)
		asm volatile("sti; hlt; cli" ::: "memory");
	(void)id;
}

static void run_blocking(void *arg)
{
	struct vcpu *v = arg;

	while (!stop) {
		__atomic_or_fetch(&physical_table[1], BIT(62),
				  __ATOMIC_SEQ_CST);
		run(v);			/* until HLT */
		set64(v, V_RIP, get64(v, V_RIP) + 1);
		set32(v, V_INT_STATE, 0);
		__atomic_and_fetch(&physical_table[1], ~BIT(62),
				   __ATOMIC_SEQ_CST);
		if (vector_get(v, APIC_IRR, VECTOR))
			continue;
		sleeps++;
		while (!stop && !__atomic_exchange_n(&to_handle, 0,
						     __ATOMIC_SEQ_CST))
			pause();
	}
}

static void guest_storm(u64 rounds)
{
	struct vcpu *v = &vcpus[1];

	for (u32 i = 0; i < rounds && !stop; i++) {
		u64 end = rdtsc() + TIMEOUT;

		send_xapic(1);
		while (v->nr_irqs == i && rdtsc() < end)
			pause();
		if (v->nr_irqs == i)
			break;
		handled = i + 1;
	}
}

TEST(blocking_target_loses_nothing)
{
	struct vcpu *v = vcpu_init(1, guest_hlt_once, 1);
	struct vcpu *sender = vcpu_init(0, guest_storm, ROUNDS / 5);

	v->eoi = true;
	stop = false;
	to_handle = handled = kicks = sleeps = 0;
	physical_table[1] |= 1;
	start_on(1, run_blocking, v);
	while (run(sender) == EXIT_INCOMPLETE_IPI) {
		kicks++;
		__atomic_store_n(&to_handle, 1, __ATOMIC_SEQ_CST);
	}
	CHECK("exit", get64(sender, V_EXIT_CODE), EXIT_VMMCALL);
	CHECK("interrupts handled", handled, ROUNDS / 5);
	CHECK("some by a kick", kicks > 0, 1);
	note("%d doorbells, %d kicks, %d sleeps", ROUNDS / 5 - kicks, kicks, sleeps);
	stop = true;
	wait_for(1);
}

/*
 * An entry that is cleared while IPIs are sent by it: each goes to the page that
 * the entry had when it was valid, or nowhere.
 */
static void clear_and_set(void *arg)
{
	volatile u64 *entry = arg;
	u64 valid = *entry;

	while (!stop) {
		*entry = 0;
		pause();
		*entry = valid;
		pause();
	}
	*entry = valid;
}

static void guest_send_many(u64 nr)
{
	while (nr--)
		apic_write(APIC_ICR, icr_low);
}

static void check_cleared_entry(u32 low, const char *what)
{
	struct vcpu *v = vcpu_init(0, guest_send_many, 20000);
	const u64 page_zero = APIC_IRR + (VECTOR >> 5) * 16;
	u32 was = read32(page_zero);
	u64 code;

	vcpu_init(5, vmmcall_only, 0);
	icr_low = low | VECTOR;
	apic_set(v, APIC_ICR2, 5 << 24);
	stop = false;
	start_on(1, clear_and_set, &physical_table[5]);
	do
		code = run(v);
	while (code == EXIT_INCOMPLETE_IPI);
	stop = true;
	wait_for(1);
	CHECK("exit", code, EXIT_VMMCALL);
	CHECK(what, read32(page_zero), was);
	CHECK("some were sent", vector_get(&vcpus[5], APIC_IRR, VECTOR), 1);
	write32(page_zero, was);
}

TEST(entry_that_is_cleared)
{
	for (unsigned i = 1; i < NR_VCPUS; i++)
		if (i != 5)
			physical_table[i] = 0;
	check_cleared_entry(0, "directed: page 0");
	check_cleared_entry(ICR_OTHERS, "broadcast: page 0");
}

/* Physical interrupts for the host while IPIs fly: neither is lost */
TEST(host_interrupts_meanwhile)
{
	struct vcpu *sender = vcpu_init(0, guest_storm, ROUNDS / 5);
	struct vcpu *v = start_guest(1, guest_halt, false);
	u32 sent = 0, exits = 0;

	CHECK("runs", WAIT(up[1]), 1);
	handled = 0;
	for (;;) {
		u64 code;

		apic_write(APIC_ICR, ICR_SELF | 0x55);
		sent++;
		code = run_if1(sender);
		sti();
		CHECK("physical interrupts", WAIT(host_irqs[0x55] == sent), 1);
		cli();
		if (code != EXIT_INTR || host_irqs[0x55] != sent)
			break;
		exits++;
		/* only now and then, or the guest gets nowhere */
		if (exits >= 200) {
			code = run(sender);
			break;
		}
	}
	CHECK("exit", get64(sender, V_EXIT_CODE), EXIT_VMMCALL);
	CHECK("interrupts handled", handled, ROUNDS / 5);
	finish(v);
}

/* The last test: afterwards processor 3 waits for a SIPI that does not come */
TEST(init_exits)
{
	struct vcpu *v = start_guest(3, guest_spin, false);

	CHECK("runs", WAIT(up[3]), 1);
	vector_set(v, APIC_IRR, VECTOR);
	apic_write(APIC_ICR2, 3 << 24);
	apic_write(APIC_ICR, 0x4500);
	CHECK("exit", WAIT(get64(v, V_EXIT_CODE) == EXIT_INIT), 1);
	CHECK("virtual interrupts", v->nr_irqs, 0);
	CHECK("IRR", vector_get(v, APIC_IRR, VECTOR), 1);
}
